package main

import (
	"errors"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// room checks, as far as possible beforehand, that n more bytes can be printed: a password that is
// set but not shown locks its account out.
func (a *app) room(n int) error {
	out, ok := a.out.(*os.File)
	if !ok {
		return nil
	}
	fd := int(out.Fd())
	// A device that accepts no data, such as /dev/full, already fails an empty write.
	if _, err := unix.Write(fd, nil); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return err
	}
	gone := []unix.PollFd{{Fd: int32(fd)}}
	err := socket.RetryInterrupted(func() error { _, err := unix.Poll(gone, 0); return err })
	if err == nil && gone[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
		return unix.EPIPE // the reader of the pipe, or the terminal, is gone
	}
	return reserve(out, n)
}

// reserve makes the file system reserve n bytes for a regular file. The file's size does not
// change. A file system without this function gives no guarantee.
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
	err = socket.RetryInterrupted(func() error {
		return unix.Fallocate(int(out.Fd()), unix.FALLOC_FL_KEEP_SIZE, at, int64(n))
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// survivePipe turns a closed pipe into an error of the write. Otherwise SIGPIPE would end the
// process after it had set passwords that were not shown yet.
func survivePipe() { signal.Ignore(unix.SIGPIPE) }
