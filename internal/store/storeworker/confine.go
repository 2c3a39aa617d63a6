package storeworker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// confine gives up what a worker never needs. A worker mostly runs with the uid of the application's
// user, who must not read its memory either.
func confine() error {
	runtime.GOMAXPROCS(1) // one request at a time: more threads would only use memory
	unix.Umask(0o077)
	return errors.Join(
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}),
	)
}

// become gives up, irrevocably, all rights that the store does not need. looks: it has no other than
// LookCapabilities.
func become(o store.Options, d driver.Driver, looks bool) error {
	if d.Placement(o) == driver.NetworkWorker {
		if os.Geteuid() != 0 {
			return nil // a test's
		}
		return becomeOwner(nobody, nobody)
	}
	rights, err := Needs(o)
	if err != nil {
		return err
	}
	if looks && rights.UID == 0 { // root's own file, or a folder of root's, needs no look
		return driver.Unavailable(unix.EACCES)
	}
	if rights.Folder {
		return keepFolderCapabilities()
	}
	return becomeOwner(int(rights.UID), int(rights.GID))
}

// becomeOwner takes a uid and gid, without other groups: leaving uid 0 drops all capabilities.
func becomeOwner(uid, gid int) error {
	if uid == os.Geteuid() && uid != 0 {
		return nil
	}
	err := errors.Join(syscall.Setgroups([]int{}), syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid))
	if err != nil {
		return fmt.Errorf("cannot become the owner of the store: %w", err)
	}
	// The change of uid has reset both settings of this thread, which must live as long as the
	// process.
	runtime.LockOSThread()
	return errors.Join(
		unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0),
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
	)
}

// keepFolderCapabilities drops all other capabilities from every set, the bounding set first: that
// takes a capability which is dropped with the others.
func keepFolderCapabilities() error {
	keep := []cap.Value{}
	for _, v := range driver.FolderCapabilities() {
		keep = append(keep, cap.Value(v))
	}
	bound, set := cap.NewIAB(), cap.NewSet()
	for v := range cap.MaxBits() {
		if !slices.Contains(keep, v) {
			if err := bound.SetVector(cap.Bound, true, v); err != nil {
				return fmt.Errorf("cannot drop capabilities: %w", err)
			}
		}
	}
	err := errors.Join(syscall.Setgroups([]int{}), bound.SetProc(), set.SetFlag(cap.Permitted, true, keep...), set.SetFlag(cap.Effective, true, keep...))
	if err == nil {
		err = set.SetProc()
	}
	if err != nil {
		return fmt.Errorf("cannot drop capabilities: %w", err)
	}
	return nil
}

// confineTo restricts file access to the store's folder with Landlock, as far as the kernel
// supports it: the uid or the capabilities alone would give access to other files. A mount namespace
// would do that too, but it would hide mounts made over the folder later, and a password would be
// persisted where no application looks.
func confineTo(o store.Options, d driver.Driver) error {
	if d.Placement(o) == driver.NetworkWorker {
		return confineToNetwork(o, d.Endpoint(o))
	}
	rules := []landlock.Rule{
		landlock.RODirs("/proc/self"),    // mountinfo, which the watch follows
		landlock.ROFiles("/dev/urandom"), // SQLite
	}
	// If the folder cannot be opened, the driver reports that with its own error.
	if folder, err := inroot.OpenPlainFolder(o.Root, filepath.Dir(o.Path)); err == nil {
		defer folder.Close()
		rules = append(rules, landlock.RWDirs(folder.Path("")).IgnoreIfMissing())
	}
	err := landlock.V5.BestEffort().RestrictPaths(rules...)
	if err != nil {
		return fmt.Errorf("cannot confine the worker to %s: %w", filepath.Dir(o.Path), err)
	}
	return nil
}
