package inroot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/durable"
)

// parentOf opens the folder that contains a name. The *at system calls used on the name itself do
// not follow a link.
func parentOf(root, name string) (parent *os.File, base string, err error) {
	name = filepath.Clean("/" + name)
	// Opened for reading and not with O_PATH, because fsync(2) needs that.
	parent, err = Open(root, filepath.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY)
	return parent, filepath.Base(name), err
}

// in calls do for a name in its open folder.
func in(op, root, name string, do func(parent int, base string) error) error {
	parent, base, err := parentOf(root, name)
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := do(int(parent.Fd()), base); err != nil {
		return &fs.PathError{Op: op, Path: plain(root, name), Err: err}
	}
	return nil
}

// Mkdir creates a folder with exactly this mode, whatever the umask.
func Mkdir(root, name string, mode fs.FileMode) error {
	return in("mkdir", root, name, func(parent int, base string) error {
		if err := unix.Mkdirat(parent, base, uint32(mode.Perm())); err != nil {
			return err
		}
		fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Fchmod(fd, uint32(mode.Perm()))
	})
}

// MkdirAll creates a folder and its missing parents.
func MkdirAll(root, name string, mode fs.FileMode) error {
	name = filepath.Clean("/" + name)
	info, err := Stat(root, name)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: plain(root, name), Err: unix.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist) || name == "/":
		return err
	}
	if err := MkdirAll(root, filepath.Dir(name), mode); err != nil {
		return err
	}
	if err := Mkdir(root, name, mode); !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err = Stat(root, name) // another process created it first, or it is a dangling link
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "mkdir", Path: plain(root, name), Err: unix.ENOTDIR}
	}
	return err
}

// RemoveFile removes anything but a folder.
func RemoveFile(root, name string) error {
	return in("remove", root, name, func(parent int, base string) error { return unix.Unlinkat(parent, base, 0) })
}

// RemoveFolder removes an empty folder and nothing else.
func RemoveFolder(root, name string) error {
	return in("remove", root, name, func(parent int, base string) error { return unix.Unlinkat(parent, base, unix.AT_REMOVEDIR) })
}

// Remove removes a file, a link or an empty folder.
func Remove(root, name string) error {
	return in("remove", root, name, func(parent int, base string) error {
		err := unix.Unlinkat(parent, base, 0)
		if err == unix.EISDIR || err == unix.EPERM {
			if folder := unix.Unlinkat(parent, base, unix.AT_REMOVEDIR); folder != unix.ENOTDIR {
				return folder
			}
		}
		return err
	})
}

// RemoveAll removes a name and everything below it; of a link it removes only the link. A missing
// name is no error.
func RemoveAll(root, name string) error {
	parent, base, err := parentOf(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	// os.RemoveAll descends through open folders and follows no link.
	return os.RemoveAll(descriptor(parent) + "/" + base)
}

// Symlink creates a symbolic link.
func Symlink(root, target, name string) error {
	return in("symlink", root, name, func(parent int, base string) error { return unix.Symlinkat(target, parent, base) })
}

// Replace writes a file so that every reader, even after a power loss, finds the old file or the
// new one. It replaces a link with that name and does not follow it.
func Replace(root, name string, data []byte, mode fs.FileMode) error {
	return in("replace", root, name, func(parent int, base string) error { return durable.Write(parent, base, data, mode) })
}

// Rewrite replaces the content of a regular file as Replace does, and keeps its owner, mode and extended
// attributes. It refuses a link.
func Rewrite(root, name string, data []byte) error {
	like, err := OpenRegular(root, name, unix.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer like.Close()
	return in("rewrite", root, name, func(parent int, base string) error { return durable.WriteLike(parent, base, data, like) })
}

// Create writes a new file, as durably as Replace. If the name is taken, the error is fs.ErrExist and
// what is there stays.
func Create(root, name string, data []byte, mode fs.FileMode) error {
	return in("create", root, name, func(parent int, base string) error { return durable.WriteNew(parent, base, data, mode) })
}
