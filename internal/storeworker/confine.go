package storeworker

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store"
)

// confine gives up what a worker never needs. The application's user, whose uid
// this is, must not read our memory either.
func confine() error {
	runtime.GOMAXPROCS(1) // one request at a time: more threads would only take memory
	unix.Umask(0o077)
	return errors.Join(
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}),
	)
}

// confineTo leaves of the file system the store's folder, by Landlock, as far as
// the kernel has it: the uid alone would open every other file of its owner. A
// mount namespace would do so too, but would hide mounts made over the folder
// later, and a password would be persisted where no application looks.
func confineTo(o store.Options) error {
	folder := filepath.Join("/", o.Root, filepath.Dir(o.Path))
	err := landlock.V5.BestEffort().RestrictPaths(
		landlock.RWDirs(folder).IgnoreIfMissing(),
		landlock.RODirs("/proc/self"),    // mountinfo, which the watch follows
		landlock.ROFiles("/dev/urandom"), // SQLite
	)
	if err != nil {
		return fmt.Errorf("cannot confine the worker to %s: %w", folder, err)
	}
	return nil
}
