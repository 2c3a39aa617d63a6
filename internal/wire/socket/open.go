package socket

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// flags of every socket created here: the poller needs non-blocking sockets, and a worker inherits
// only what it is given.
const flags = unix.SOCK_SEQPACKET | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC

// Dial connects to the socket at path. If nobody listens, it fails at once with ENOENT or
// ECONNREFUSED; if the listener's queue is full, it waits until ctx ends.
func Dial(ctx context.Context, path string) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, flags, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	if err := connect(ctx, fd, path); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("cannot connect to %s: %w", path, err)
	}
	return newConn(os.NewFile(uintptr(fd), path))
}

// connect tries again while the listener's queue is full: a Unix socket then returns EAGAIN, and
// the poller has no event for the end of that state.
func connect(ctx context.Context, fd int, path string) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := RetryInterrupted(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
		if !errors.Is(err, unix.EAGAIN) {
			return err
		}
		sleep(ctx, pause)
	}
}

// sleep waits for d, or less if ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Pair creates a connected pair: one end to use here, the other to pass to a worker process, for
// example as its standard input, and then to close here.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, flags, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "socketpair")
	ours, err := newConn(os.NewFile(uintptr(fds[0]), "socketpair"))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// FromFile creates a connection from a socket that this process was given, for example os.Stdin of
// a worker. The connection has its own descriptor; the caller still owns f.
func FromFile(f *os.File) (*Conn, error) {
	own, err := adopt(f, false)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s as a connection: %w", f.Name(), err)
	}
	return newConn(own)
}

// adopt duplicates f for the poller after making sure that it is a socket as created here, and that
// it listens if listening is set, or does not.
func adopt(f *os.File, listening bool) (*os.File, error) {
	var own int
	err := control(f, func(fd int) (err error) {
		if err := checkKind(fd, listening); err != nil {
			return err
		}
		if own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return err
		}
		return unix.SetNonblock(own, true) // of the open file description: this changes f too
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(own), f.Name()), nil
}

func checkKind(fd int, listening bool) error {
	want := map[int]int{
		unix.SO_DOMAIN:     unix.AF_UNIX,
		unix.SO_TYPE:       unix.SOCK_SEQPACKET,
		unix.SO_ACCEPTCONN: 0,
	}
	if listening {
		want[unix.SO_ACCEPTCONN] = 1
	}
	for option, value := range want {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return err
		}
		if got != value {
			return errors.New("not the kind of socket that is needed: SOCK_SEQPACKET of the Unix domain")
		}
	}
	return nil
}
