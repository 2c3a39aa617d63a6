// Package durable replaces files so that every reader, even after a power loss, finds a whole file:
// the former one or the new one.
//
// Every replacement takes the same steps. The promise depends on their order:
//
//	Create          creates a new file beside the old one, readable only by its owner
//	KeepAttributes  copies the old file's attributes before any byte is in the new one
//	Settle          writes content and attributes to the disk (fsync(2)) and closes the file
//	Place           gives the file its name (renameat2(2))
//	SyncFolder      writes the name to the disk
//
// [Write] does all of it for a file with a given mode, [WriteNew] if there is none yet, [WriteLike] for one
// that keeps its attributes.
//
//	durable.go     the steps
//	attributes.go  owner, mode, access list, extended attributes
package durable

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// New is a file that does not have its final name yet.
type New struct {
	*os.File
	folder    int
	temporary string
}

// Create creates a file in an open folder. The name must be free: an existing link or file is an
// error.
func Create(folder int, temporary string) (*New, error) {
	fd, err := Retry(func() (int, error) {
		return unix.Openat(folder, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return nil, err
	}
	return &New{os.NewFile(uintptr(fd), temporary), folder, temporary}, nil
}

// Settle makes the file durable, unless writing it failed, and closes it.
func (n *New) Settle(written error) error {
	if written == nil {
		written = n.Sync()
	}
	return errors.Join(written, n.Close())
}

// Place gives the file its name, with the flags of renameat2(2). The name is durable
// after SyncFolder.
func (n *New) Place(name string, flags uint) error {
	return unix.Renameat2(n.folder, n.temporary, n.folder, name, flags)
}

// Discard removes the temporary name: the new file, or what RENAME_EXCHANGE moved there.
func (n *New) Discard() error { return unix.Unlinkat(n.folder, n.temporary, 0) }

// SyncFolder makes the names in a folder durable.
func SyncFolder(folder int) error {
	_, err := Retry(func() (struct{}, error) { return struct{}{}, unix.Fsync(folder) })
	return err
}

// Write replaces a file in an open folder. It replaces a link with that name and does not follow
// it.
func Write(folder int, name string, data []byte, mode fs.FileMode) error {
	return write(folder, name, data, 0, func(n *New) error { return n.Chmod(mode) })
}

// WriteNew is Write for a name that must be free.
func WriteNew(folder int, name string, data []byte, mode fs.FileMode) error {
	return write(folder, name, data, unix.RENAME_NOREPLACE, func(n *New) error { return n.Chmod(mode) })
}

// WriteLike is Write with the attributes of like, which is the present file.
func WriteLike(folder int, name string, data []byte, like *os.File) error {
	return write(folder, name, data, 0, func(n *New) error {
		return KeepAttributes(n.File, like, func(name string) bool { return !OfContent(name) })
	})
}

func write(folder int, name string, data []byte, flags uint, attribute func(*New) error) error {
	n, err := Create(folder, "."+name+"-"+rand.Text())
	if err != nil {
		return err
	}
	if err = attribute(n); err == nil {
		_, err = n.Write(data)
	}
	if err = n.Settle(err); err == nil {
		err = n.Place(name, flags)
	}
	if err != nil {
		return errors.Join(err, n.Discard())
	}
	return SyncFolder(folder)
}

// Retry repeats a system call that a signal interrupted. The Go runtime preempts with signals, and
// those interrupt calls on network and FUSE file systems.
func Retry[T any](call func() (T, error)) (T, error) {
	for {
		result, err := call()
		if !errors.Is(err, unix.EINTR) {
			return result, err
		}
	}
}
