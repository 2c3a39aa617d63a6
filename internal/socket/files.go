package socket

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// control calls use with f's descriptor, which stays open and in its mode
// meanwhile. (File.Fd may put it into blocking mode.)
func control(f *os.File, use func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := raw.Control(func(fd uintptr) { result = use(int(fd)) }); err != nil {
		return os.ErrClosed // Control's own error has no exported value
	}
	return result
}

// withDescriptors calls use with the descriptors of fds and files, all held open.
func withDescriptors(files []*os.File, fds []int, use func([]int) error) error {
	if len(files) == 0 {
		return use(fds)
	}
	return control(files[0], func(fd int) error {
		return withDescriptors(files[1:], append(fds, fd), use)
	})
}

// rightsSpace is the size of a control buffer for n descriptors. The kernel
// installs as many as fit, which alignment can make one more than n.
func rightsSpace(n int) int {
	if n == 0 {
		return 0
	}
	const descriptor = 4 // sizeof(int)
	return unix.CmsgSpace(n * descriptor)
}

// takeFiles gives every descriptor in a received control buffer, also
// together with an error, so that none leaks.
//
// Closing one may take as long as its maker likes: close(2) of a file on FUSE waits
// for that file system. It is done by the goroutine that received it, so it holds up nobody else.
func takeFiles(rights []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, parseErr := unix.ParseUnixRights(&m)
		if parseErr != nil {
			err = errors.Join(err, parseErr)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // was never written to
	}
}
