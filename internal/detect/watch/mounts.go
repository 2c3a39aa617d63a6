package watch

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// identity distinguishes folders at the same path; zero if there is none.
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

// isAbsent reports whether a folder cannot be watched because it does not exist yet or is not
// accessible yet.
func isAbsent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) ||
		errors.Is(err, unix.EACCES) || errors.Is(err, unix.ELOOP)
}

// watchMounts sends whenever something was mounted or unmounted, because inotify does not see that
// a mount hides a folder. The kernel then marks /proc/self/mountinfo with an exceptional condition
// (proc(5)). Without /proc it never sends.
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
		// A single Read call: a second one would miss changes in between.
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
