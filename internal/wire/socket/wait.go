package socket

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// past is a deadline in the past: setting it wakes a waiting call.
var past = time.Unix(1, 0)

// direction is one direction of a socket, in or out. One call at a time uses it.
type direction struct {
	turn     chan struct{} // holds one element while a call is running
	wait     func(func(fd uintptr) bool) error
	deadline func(time.Time) error
}

// directions prepares f, a non-blocking socket, for use with contexts.
func directions(f *os.File) (in, out direction, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return in, out, err
	}
	// This fails for a descriptor that the poller does not support; a wait on it would never end.
	if err := f.SetDeadline(time.Time{}); err != nil {
		return in, out, err
	}
	in = direction{make(chan struct{}, 1), raw.Read, f.SetReadDeadline}
	out = direction{make(chan struct{}, 1), raw.Write, f.SetWriteDeadline}
	return in, out, nil
}

// do repeats call until it returns something other than EAGAIN, and waits for the socket in
// between, until ctx ends at the latest. On a closed socket it returns os.ErrClosed.
func (d direction) do(ctx context.Context, call func(fd int) error) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	release := d.boundBy(ctx)
	defer release()

	var result error
	err := d.wait(func(fd uintptr) bool {
		result = RetryInterrupted(func() error { return call(int(fd)) })
		return !errors.Is(result, unix.EAGAIN)
	})
	switch {
	case err == nil:
		return result
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return os.ErrClosed
	}
}

// boundBy makes the waits of d end when ctx ends, until release is called.
func (d direction) boundBy(ctx context.Context) (release func()) {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = d.deadline(past) // fails only on a closed socket, on which nothing waits
		close(woken)
	})
	return func() {
		if stop() {
			return
		}
		<-woken // otherwise the deadline could end the next call
		_ = d.deadline(time.Time{})
	}
}

// RetryInterrupted repeats a call that a signal interrupted: the Go runtime sends itself signals.
func RetryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
