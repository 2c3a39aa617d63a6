package main

import (
	"errors"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// room makes sure, as far as anybody can know beforehand, that n more bytes can be
// printed: a password that is set and not shown locks its account out.
func (a *app) room(n int) error {
	out, ok := a.out.(*os.File)
	if !ok {
		return nil
	}
	fd := int(out.Fd())
	// A device that takes nothing, as /dev/full, says so to an empty write already.
	if _, err := unix.Write(fd, nil); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return err
	}
	gone := []unix.PollFd{{Fd: int32(fd)}}
	if _, err := unix.Poll(gone, 0); err == nil && gone[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
		return unix.EPIPE // the reader of a pipe, or the terminal
	}
	return reserve(out, n)
}

// reserve has the file system keep n bytes for what a regular file is to get. It leaves
// the file's size as it is; a file system that cannot do it promises nothing.
func reserve(out *os.File, n int) error {
	info, err := out.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	at, err := out.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if flags, err := unix.FcntlInt(out.Fd(), unix.F_GETFL, 0); err == nil && flags&unix.O_APPEND != 0 {
		at = info.Size()
	}
	err = unix.Fallocate(int(out.Fd()), unix.FALLOC_FL_KEEP_SIZE, at, int64(n))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}

// survivePipe turns a reader that went away into an error of the write. By itself the
// signal would end the process, with passwords set that nobody has been told.
func survivePipe() { signal.Ignore(unix.SIGPIPE) }
