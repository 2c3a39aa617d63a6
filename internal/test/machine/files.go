package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// WriteFile writes a file as root, whether the machine is on or off. It creates missing folders; an
// existing file keeps its inode and owner.
func (m *Machine) WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error {
	const script = `mkdir -p "${1%/*}/" && cat >"$1" && chmod "$2" "$1"`
	if _, err := m.within(ctx, data, "/bin/sh", "-c", script, "sh", path, fmt.Sprintf("%o", mode.Perm())); err != nil {
		return fmt.Errorf("cannot write %s on the machine: %w", path, err)
	}
	return nil
}

// ReadFile reads a file as root, whether the machine is on or off.
func (m *Machine) ReadFile(ctx context.Context, path string) ([]byte, error) {
	data, err := m.within(ctx, nil, "/bin/cat", "--", path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s on the machine: %w", path, err)
	}
	return data, nil
}

// CopyIn copies a file of the host to the machine.
func (m *Machine) CopyIn(ctx context.Context, hostPath, path string, mode fs.FileMode) error {
	data, err := os.ReadFile(hostPath)
	if err != nil {
		return fmt.Errorf("cannot copy to the machine: %w", err)
	}
	return m.WriteFile(ctx, path, data, mode)
}

// within runs a command in the machine's root. It never resolves a path of the machine from
// outside, because an absolute symlink there, such as Debian's /var/run, would lead to the host's
// files.
func (m *Machine) within(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	process, err := m.prepare(ctx, Command{Args: args})
	if errors.Is(err, ErrOff) {
		process = exec.CommandContext(ctx, "chroot", append([]string{m.Root()}, args...)...)
		process.Env = []string{"PATH=" + machinePath, "LANG=C.UTF-8"}
	} else if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	process.Stdin, process.Stdout, process.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := process.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}
