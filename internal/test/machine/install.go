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

// repositoryRoot finds the project from the working folder, which is the package's for a test and
// the project's for a program run by make.
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

// buildProject runs make build once per process.
var buildProject = sync.OnceValue(func() error { return makeTarget("build") })

// installation is the result of make install as a tar archive, made once per process. Installing a
// machine from it takes a few milliseconds.
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

// InstallShadowsync installs the result of make build, as make install does on a real machine: it
// starts and enables nothing, because shadowsync setup does that.
func (m *Machine) InstallShadowsync(ctx context.Context) error {
	archive, err := installation()
	if err != nil {
		return err
	}
	// Existing folders stay unchanged, including a link such as /lib and the mode of /.
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

// makeTarget locks the Makefile, because test programs of several packages run at the same time and
// would build into the same bin/.
func makeTarget(target string, variables ...string) error {
	repository, err := repositoryRoot()
	if err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(repository, "Makefile"), os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot make %s: %w", target, err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("cannot make %s: %w", target, err)
	}
	command := exec.Command("make", append([]string{"--no-print-directory", "-C", repository, target}, variables...)...)
	command.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // independent of a make test that runs this test
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make %s: %w\n%s", target, err, out)
	}
	return nil
}
