package storeworker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

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

// becomeOwner takes the uid and gid of the store file's owner, and no other groups, for
// good: with uid 0 all capabilities go.
func becomeOwner(o store.Options) error {
	owner, err := Owner(o)
	if err != nil {
		return err
	}
	uid, gid := int(owner.UID), int(owner.GID)
	if uid == os.Geteuid() && uid != 0 {
		return nil
	}
	err = errors.Join(syscall.Setgroups([]int{}), syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid))
	if err != nil {
		return fmt.Errorf("cannot become the owner of the store: %w", err)
	}
	// The kernel has forgotten both of this thread, which must live as long as we do.
	runtime.LockOSThread()
	return errors.Join(
		unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0),
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
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
