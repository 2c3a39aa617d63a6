package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sweep ends machines whose owner is gone: a test that was killed or timed out could not close its
// own.
func sweep() error {
	unlock, err := lockRunFolder()
	if err != nil {
		return err
	}
	defer unlock()
	locks, err := filepath.Glob(filepath.Join(runFolder, "*-*.lock"))
	if err != nil {
		return fmt.Errorf("cannot list machines: %w", err)
	}
	var errs []error
	for _, lock := range locks {
		errs = append(errs, sweepOne(lock))
	}
	return errors.Join(errs...)
}

func sweepOne(path string) error {
	lock, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open a machine's lock: %w", err)
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // the owner lives
	}
	home := strings.TrimSuffix(path, ".lock")
	group, err := newCgroup(filepath.Base(home))
	if err != nil {
		return err
	}
	if err := errors.Join(group.kill(), group.remove()); err != nil {
		return err
	}
	return unmountMachine(home)
}

// lockRunFolder serialises claiming a name and sweeping; both are short.
func lockRunFolder() (unlock func(), err error) {
	if err := os.MkdirAll(runFolder, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the machines' folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(runFolder, "lock"), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the machines' lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("cannot lock the machines' folder: %w", err)
	}
	return func() { _ = lock.Close() }, nil
}
