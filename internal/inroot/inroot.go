// Package inroot opens files of a system that is mounted at a folder, as a process with
// that folder as its root would: Fedora's PAM stacks and /var/run are absolute links, which
// must neither be refused nor lead out of the mounted system.
package inroot

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Open opens a file below root with flags of open(2). It waits for nobody: without
// O_NONBLOCK, to open a FIFO would wait for its other side.
//
// An error is fs.ErrNotExist if the file is missing, and is not if the root is.
func Open(root, name string, flags int) (*os.File, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, fmt.Errorf("cannot open the root: %v", err)
	}
	defer dir.Close()
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{
		Flags:   uint64(flags | unix.O_NONBLOCK | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "openat2", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
