// Package safefile reads and replaces one file that an application owns, in a
// folder that the application may change at any instant. It promises that
//
//   - it follows no symbolic link in any component of the path, and reads nothing but a
//     regular file: a FIFO does not block, a device is not opened;
//   - what it reads is bounded;
//   - the file is replaced as a whole or not at all, and is durable when Replace
//     returns; owner, mode, access list and security label stay;
//   - it is replaced only if it is still what was read, in the folder it was read from.
//
// The files:
//
//	folder.go   opens the folder
//	content.go  reads
//	replace.go  writes
//	sweep.go    removes the files of killed writers
package safefile

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/durable"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// Place names a file: an absolute path as seen from Root, which is "/" if empty.
type Place struct {
	Root, Path string
	// Linger is for how long a program that had opened the file before it was replaced may still write
	// to it, where programs do so without a lock. What they write is not lost then: see dropDisplaced.
	Linger time.Duration
}

func (p Place) folder() string { return filepath.Dir(p.Path) }
func (p Place) base() string   { return filepath.Base(p.Path) }

// Folder is the open folder of a file.
type Folder struct {
	place Place
	fd    int
}

// Open opens the folder of the place.
func (p Place) Open() (*Folder, error) {
	// Not with O_PATH: fsync(2) refuses such a descriptor.
	fd, err := p.openFolder(unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return &Folder{place: p, fd: fd}, nil
}

// Close closes the folder.
func (f *Folder) Close() { _ = unix.Close(f.fd) } // nothing was written to it

// Identity is the uid and gid that a file has.
type Identity struct{ UID, GID uint32 }

// Owned is a folder with its owner and mode.
type Owned struct {
	Identity
	Mode uint32
}

// Owner returns the owner of the file, or of its folder if the file is missing, and the folder's.
func (p Place) Owner() (owner Identity, folder Owned, err error) {
	fd, err := p.openFolder(unix.O_PATH)
	if err != nil {
		return owner, folder, err
	}
	defer unix.Close(fd)
	var at unix.Stat_t
	if err := unix.Fstat(fd, &at); err != nil {
		return owner, folder, driver.Unavailable(err)
	}
	folder = Owned{Identity{at.Uid, at.Gid}, at.Mode}
	owner, err = p.ownerIn(fd, folder)
	return owner, folder, err
}

func (p Place) ownerIn(fd int, folder Owned) (Identity, error) {
	var file unix.Stat_t
	switch err := unix.Fstatat(fd, p.base(), &file, unix.AT_SYMLINK_NOFOLLOW); {
	case errors.Is(err, unix.ENOENT):
		return folder.Identity, nil
	case err != nil:
		return Identity{}, driver.Unavailable(err)
	}
	if err := p.checkRegular(file); err != nil {
		return Identity{}, err
	}
	// Without fs.protected_hardlinks, the folder's owner could make us root by a second name for a
	// file of root's.
	if file.Uid != folder.UID && folder.UID != 0 && file.Nlink > 1 {
		return Identity{}, driver.Malformed("%s is a second name of a file of another user", p.Path)
	}
	return Identity{file.Uid, file.Gid}, nil
}

func (p Place) openFolder(flags int) (int, error) {
	top, err := inroot.Open(p.Root, "/", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, driver.Unavailable(err)
	}
	defer top.Close()
	below := strings.TrimPrefix(p.folder(), "/")
	if below == "" {
		below = "."
	}
	fd, err := openBeneath(int(top.Fd()), below, flags|unix.O_DIRECTORY|unix.O_CLOEXEC)
	switch {
	case errors.Is(err, unix.ELOOP):
		return -1, driver.Malformed("%s goes through a symbolic link", p.folder())
	case err != nil:
		return -1, driver.Unavailable(fmt.Errorf("cannot open %s: %w", p.folder(), err))
	}
	return fd, nil
}

// openBeneath opens a folder below top. ELOOP means that a component of the path is a symbolic
// link.
func openBeneath(top int, path string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_BENEATH,
	}
	fd, err := durable.Retry(func() (int, error) { return unix.Openat2(top, path, &how) })
	// EPERM: a system call filter that does not know openat2(2), which exists since Linux 5.6.
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return walkBeneath(top, path, flags)
	}
	return fd, err
}

// walkBeneath does what openBeneath does, component by component.
func walkBeneath(top int, path string, flags int) (int, error) {
	names := strings.Split(path, "/")
	at := top
	for i, name := range names {
		step := unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
		if i == len(names)-1 {
			step = flags
		}
		next, err := durable.Retry(func() (int, error) { return unix.Openat(at, name, step|unix.O_NOFOLLOW, 0) })
		if errors.Is(err, unix.ENOTDIR) && isLink(at, name) {
			err = unix.ELOOP
		}
		if at != top {
			_ = unix.Close(at)
		}
		if err != nil {
			return -1, err
		}
		at = next
	}
	return at, nil
}

func isLink(at int, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}
