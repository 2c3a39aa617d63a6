package socket

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// control calls use with f's descriptor, which stays open and non-blocking meanwhile. (File.Fd may
// make it blocking.)
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

// Duplicate returns a new descriptor for the file that f has open.
func Duplicate(f *os.File) (own *os.File, err error) {
	err = control(f, func(fd int) error {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			own = os.NewFile(uintptr(n), f.Name())
		}
		return err
	})
	return own, err
}

// DuplicateAll duplicates all of them, or none.
func DuplicateAll(files []*os.File) (own []*os.File, err error) {
	for _, f := range files {
		d, err := Duplicate(f)
		if err != nil {
			CloseAll(own)
			return nil, err
		}
		own = append(own, d)
	}
	return own, nil
}

// withDescriptors calls use with fds and the descriptors of files, and keeps all of them open
// meanwhile.
func withDescriptors(files []*os.File, fds []int, use func([]int) error) error {
	if len(files) == 0 {
		return use(fds)
	}
	return control(files[0], func(fd int) error {
		return withDescriptors(files[1:], append(fds, fd), use)
	})
}

// rightsSpace is the size of a control buffer for n descriptors. The kernel passes as many as fit;
// because of alignment this can be n+1.
func rightsSpace(n int) int {
	if n == 0 {
		return 0
	}
	const descriptor = 4 // sizeof(int)
	return unix.CmsgSpace(n * descriptor)
}

// takeFiles returns every descriptor in a received control buffer, even with an error, so that none
// leaks.
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

// CloseAll closes received descriptors.
func CloseAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // it was never written to
	}
}
