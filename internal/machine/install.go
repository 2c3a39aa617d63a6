package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

var errNoRepository = errors.New("cannot find the project's go.mod above the working folder")

// repositoryRoot is found from the working folder, which for a test is its
// package's and for a program run by make the project's own.
func repositoryRoot() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("cannot find the project: %w", err)
	}
	for ; folder != "/"; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
	}
	return "", errNoRepository
}

// buildProject runs make build once a process.
var buildProject = sync.OnceValue(func() error { return makeTarget("build") })

// installation is what make install puts in place, as a tar archive, made once
// a process: a machine is installed from it in a few milliseconds.
var installation = sync.OnceValues(func() ([]byte, error) {
	if err := buildProject(); err != nil {
		return nil, err
	}
	stage, err := os.MkdirTemp("", "shadowsync-install-")
	if err != nil {
		return nil, fmt.Errorf("cannot stage the installation: %w", err)
	}
	defer os.RemoveAll(stage)
	if err := makeTarget("install", "DESTDIR="+stage, "PREFIX=/usr"); err != nil {
		return nil, err
	}
	archive, err := exec.Command("tar", "--create", "--owner=0", "--group=0", "--directory", stage, ".").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot pack the installation: %w", err)
	}
	return archive, nil
})

// InstallShadowsync installs what make build gives, as make install does on a
// real machine: nothing is started or enabled, that is for shadowsync setup.
func (m *Machine) InstallShadowsync(ctx context.Context) error {
	archive, err := installation()
	if err != nil {
		return err
	}
	// Folders that are there stay as they are: a link such as /lib, and the mode of / too.
	_, err = m.within(ctx, archive, "tar", "--extract", "--directory=/", "--no-overwrite-dir", "--keep-directory-symlink")
	if err != nil {
		return fmt.Errorf("cannot install on the machine: %w", err)
	}
	if !m.Running() {
		return nil
	}
	_, err = m.do(ctx, Command{Args: []string{"systemctl", "daemon-reload"}})
	return err
}

// makeTarget holds a lock on the Makefile itself: the test programs of several
// packages run at once, and would build into the same bin/.
func makeTarget(args ...string) error {
	repository, err := repositoryRoot()
	if err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(repository, "Makefile"), os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot make %s: %w", args[0], err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("cannot make %s: %w", args[0], err)
	}
	command := exec.Command("make", append([]string{"--no-print-directory", "-C", repository}, args...)...)
	command.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // not a part of a make test that runs us
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make %s: %w\n%s", args[0], err, out)
	}
	return nil
}
