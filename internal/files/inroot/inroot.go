// Package inroot reaches the files of one system: the running one, or one that is mounted at a
// folder, for rescue. Paths of a mounted system resolve as for a process with that folder as its
// root: an absolute link, or a row of "..", stays inside. Fedora's PAM stacks and /var/run are such
// links, so links must be followed, but not as seen from outside.
//
// For a root other than "/" it promises:
//
//   - No path leads out of the folder, whatever it contains and whatever changes meanwhile: the
//     kernel resolves each path from the open folder (openat2(2) with RESOLVE_IN_ROOT), and every
//     change is made through the open parent folder.
//   - Magic links (/proc/self/root, /proc/self/fd/3) are refused.
//   - The folder is opened once in a process, so that all paths belong to one tree.
//   - It reads only regular files of a bounded size: it does not wait for a FIFO and opens no
//     device.
//
// The root "/", or an empty one, is the running system: its paths are the process's own. Kernels
// before Linux 5.6 have no openat2(2); there it refuses a mounted system.
//
// The files:
//
//	inroot.go  how a path is resolved
//	read.go    functions that only look
//	write.go   functions that change something
//	folder.go  a folder that is kept open
package inroot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Live reports whether root is the running system.
func Live(root string) bool { return root == "" || root == "/" }

// Shown returns the path of a file below root as a person reaches it from outside. Links are
// resolved as far as the path exists; otherwise an editor would follow a link from the mounted
// system's /etc into the running system. Use it only in messages: a link may be back by the time
// somebody uses the path.
func Shown(root, name string) string {
	outside := plain(root, name)
	if Live(root) {
		return outside
	}
	dir, err := open(root)
	if err != nil {
		return outside
	}
	top, err := os.Readlink(descriptor(dir))
	if err != nil {
		return outside
	}
	rest := ""
	for here := clean(name); ; here = filepath.Dir(here) {
		if f, err := Open(root, here, unix.O_PATH); err == nil {
			found, err := os.Readlink(descriptor(f))
			_ = f.Close()
			below, inside := strings.CutPrefix(found, strings.TrimSuffix(top, "/")+"/")
			if err != nil || !inside && found != top {
				return outside
			}
			if !inside {
				below = ""
			}
			return filepath.Join("/", root, below, rest)
		}
		if here == "." {
			return outside
		}
		rest = filepath.Join(filepath.Base(here), rest)
	}
}

// plain returns that path with its links unresolved.
func plain(root, name string) string { return filepath.Join("/", root, filepath.Clean("/"+name)) }

// roots are the open folders of mounted systems, by their path. They stay open until the process
// ends: a second call must not reach another tree than the first one.
var roots sync.Map // string → *os.File

func open(root string) (*os.File, error) {
	if f, ok := roots.Load(root); ok {
		return f.(*os.File), nil
	}
	f, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		// Not %w: a missing root is not a missing file.
		return nil, fmt.Errorf("cannot open the root: %v", err)
	}
	if first, loaded := roots.LoadOrStore(root, f); loaded {
		_ = f.Close()
		return first.(*os.File), nil
	}
	return f, nil
}

// Open opens a file below root with flags of open(2) that create nothing. It never blocks: without
// O_NONBLOCK, opening a FIFO would wait for its other end.
//
// The error is fs.ErrNotExist if the file is missing, but not if the root is missing.
func Open(root, name string, flags int) (*os.File, error) {
	return resolve(root, name, flags, 0)
}

func resolve(root, name string, flags int, how uint64) (*os.File, error) {
	flags |= unix.O_CLOEXEC
	if flags&unix.O_PATH == 0 { // openat2(2) refuses other flags together with O_PATH
		flags |= unix.O_NONBLOCK | unix.O_NOCTTY
	}
	shown := plain(root, name)
	if Live(root) {
		// Without openat2(2), which RestrictSUIDSGID= in shadowsync's own unit forbids.
		return opened(func() (int, error) { return unix.Open(shown, flags, 0) }, shown)
	}
	dir, err := open(root)
	if err != nil {
		return nil, err
	}
	f, err := opened(func() (int, error) {
		return unix.Openat2(int(dir.Fd()), clean(name), &unix.OpenHow{
			Flags: uint64(flags), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | how,
		})
	}, shown)
	if errors.Is(err, unix.ENOSYS) {
		return nil, fmt.Errorf("cannot work on a mounted system: this kernel has no openat2(2), which Linux has since 5.6: %w", err)
	}
	return f, err
}

// clean keeps a path relative to the root's descriptor; ".." above the root is the root.
func clean(name string) string {
	return filepath.Join(".", strings.TrimPrefix(filepath.Clean("/"+name), "/"))
}

// attempts bounds how often a path is resolved again. The kernel gives up with EAGAIN while
// somebody renames folders above a ".."; endless renaming must not block this process.
const attempts = 10_000

func opened(call func() (int, error), shown string) (*os.File, error) {
	var fd int
	var err error
	for range attempts {
		fd, err = call()
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: shown, Err: err}
	}
	return os.NewFile(uintptr(fd), shown), nil
}
