package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine/base"
)

// Twin makes a second machine with the disk as it is at this instant: what this machine would find after a
// power loss now. The second one is off, this one goes on, and they share nothing.
func (m *Machine) Twin(ctx context.Context) (*Machine, error) {
	tree, err := base.Open(ctx, m.kind, os.Stderr)
	if err != nil {
		return nil, err
	}
	disk, err := newDisk(tree, m.kind.Release, func(home string) error { return m.copyDisk(ctx, home) })
	if err != nil {
		return nil, errors.Join(err, tree.Close())
	}
	twin := &Machine{name: disk.name, kind: m.kind, disk: disk, changed: make(chan struct{})}
	if twin.cgroup, err = newCgroup(twin.name); err != nil {
		return nil, errors.Join(err, twin.Close())
	}
	return twin, nil
}

// copyDisk copies what the machine has changed in its tree, and the layers below that. Meanwhile no process of it
// runs.
func (m *Machine) copyDisk(ctx context.Context, home string) error {
	if err := m.cgroup.freeze(true); err != nil {
		return err
	}
	var failed error
	for i, layer := range append([]string{filepath.Join(m.disk.home, "upper")}, m.disk.copied()...) {
		out, err := exec.CommandContext(ctx, "cp", "--archive", layer, fmt.Sprintf("%s/copied.%02d", home, i)).CombinedOutput()
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("cannot copy a machine's disk: %w: %s", err, out))
		}
	}
	return errors.Join(failed, m.cgroup.freeze(false))
}

// freeze stops every process of the machine at the same instant, or lets them go on.
func (c *cgroup) freeze(on bool) error {
	want := "0"
	if on {
		want = "1"
	}
	if err := os.WriteFile(filepath.Join(c.path, "cgroup.freeze"), []byte(want), 0); err != nil {
		return fmt.Errorf("cannot freeze a machine: %w", err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		events, err := os.ReadFile(filepath.Join(c.path, "cgroup.events"))
		if err != nil {
			return fmt.Errorf("cannot see a machine freeze: %w", err)
		}
		if strings.Contains(string(events), "frozen "+want) {
			return nil
		}
	}
	return fmt.Errorf("cannot freeze a machine: not all of %s obeyed", c.path)
}
