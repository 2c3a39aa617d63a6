package watch

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// identity tells one folder from another at the same path; zero if there is none.
type identity struct{ dev, ino uint64 }

func identities(folders []string) []identity {
	ids := make([]identity, len(folders))
	for i, folder := range folders {
		var st unix.Stat_t
		if unix.Stat(folder, &st) == nil {
			ids[i] = identity{st.Dev, st.Ino}
		}
	}
	return ids
}

// isAbsent reports whether a folder cannot be watched because it is not there,
// or not for us, yet.
func isAbsent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) ||
		errors.Is(err, unix.EACCES) || errors.Is(err, unix.ELOOP)
}

// watchMounts tells when something was mounted or unmounted: inotify does not
// see a folder disappear below a mount. /proc/self/mountinfo becomes ready with
// an exceptional condition then (proc(5)). Without /proc nothing is ever told.
func watchMounts(ctx context.Context) <-chan struct{} {
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "mountinfo")
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil
	}
	changed := make(chan struct{}, 1)
	context.AfterFunc(ctx, func() { _ = f.Close() })
	go func() {
		// One call for all time: a second one would forget what came in between.
		_ = raw.Read(func(uintptr) bool {
			select {
			case changed <- struct{}{}:
			default:
			}
			return ctx.Err() != nil
		})
	}()
	return changed
}
