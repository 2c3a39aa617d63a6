package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A cgroup is a control group for one machine. Otherwise every systemd-nspawn started from the same
// place would use the same group as its machine's root, and one machine's systemd would kill
// processes of all machines.
type cgroup struct {
	name string
	path string // in the cgroup2 hierarchy
}

var errNoCgroup2 = errors.New("no cgroup2 hierarchy is mounted")

// cgroupMount finds the cgroup2 hierarchy. A host that still uses version 1 mounts it at
// /sys/fs/cgroup/unified.
func cgroupMount() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo") // proc_pid_mountinfo(5)
	if err != nil {
		return "", fmt.Errorf("cannot list mounts: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		mount, rest, found := strings.Cut(line, " - ")
		if field := strings.Fields(mount); found && len(field) > 4 && strings.HasPrefix(rest, "cgroup2 ") {
			return field[4], nil
		}
	}
	return "", errNoCgroup2
}

func newCgroup(machine string) (*cgroup, error) {
	mount, err := cgroupMount()
	if err != nil {
		return nil, err
	}
	name := "shadowsync-machine-" + machine
	group := &cgroup{name: name, path: filepath.Join(mount, name)}
	return group, group.create()
}

func (c *cgroup) create() error {
	if err := os.Mkdir(c.path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("cannot make a machine's control group: %w", err)
	}
	return nil
}

// renew replaces the group for a new boot. An emptied group would not do: Linux 6.18 also kills a
// process that clone3(2) starts in a group after its cgroup.kill.
func (c *cgroup) renew() error {
	if err := c.kill(); err != nil {
		return err
	}
	if err := c.remove(); err != nil {
		return err
	}
	return c.create()
}

// open returns a descriptor for starting a process in the group, or in a child group.
func (c *cgroup) open(below string) (*os.File, error) {
	path := filepath.Join(c.path, below)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make a control group: %w", err)
	}
	return os.OpenFile(path, unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
}

// kill ends every process of the machine at the same instant, and returns when they are gone.
func (c *cgroup) kill() error {
	if err := os.WriteFile(filepath.Join(c.path, "cgroup.kill"), []byte("1"), 0); err != nil {
		return fmt.Errorf("cannot kill a machine: %w", err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		events, err := os.ReadFile(filepath.Join(c.path, "cgroup.events"))
		if err != nil {
			return fmt.Errorf("cannot see a machine end: %w", err)
		}
		if strings.Contains(string(events), "populated 0") {
			return nil
		}
	}
	return fmt.Errorf("cannot kill a machine: processes are left in %s", c.path)
}

// remove deletes the group and, on a host that also has version 1, the group of the same name that
// systemd-nspawn made in systemd's hierarchy.
func (c *cgroup) remove() error {
	return errors.Join(removeGroups(c.path), removeGroups(filepath.Join("/sys/fs/cgroup/systemd", c.name)))
}

// removeGroups removes groups from the leaves up, because a group with a child cannot be removed.
func removeGroups(top string) error {
	var groups []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot list control groups: %w", err)
	}
	for _, group := range slices.Backward(groups) {
		if err := unix.Rmdir(group); err != nil && err != unix.ENOENT {
			return fmt.Errorf("cannot remove a control group: %w", err)
		}
	}
	return nil
}
