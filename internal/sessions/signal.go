package sessions

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/origin"
)

// send signals exactly this process. One that is gone needs no signal.
func send(p origin.Process, signals ...unix.Signal) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return gone(err)
	}
	defer unix.Close(fd)
	// Opened before it was looked at: if it is the same now, the descriptor is that one's.
	if origin.Started(p.PID) != p.StartTicks {
		return nil
	}
	for _, signal := range signals {
		if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil {
			return gone(err)
		}
	}
	return nil
}

func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// awaitEnds waits until all of the processes have ended, at most for the given time.
func awaitEnds(processes []origin.Process, most time.Duration) {
	until := time.Now().Add(most)
	for _, p := range processes {
		AwaitEnd(p, time.Until(until))
	}
}

// AwaitEnd waits until a process has ended, at most for the given time. One that has
// the pid by then makes the wait no longer than that.
func AwaitEnd(p origin.Process, most time.Duration) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return // gone
	}
	defer unix.Close(fd)
	until := time.Now().Add(most)
	for {
		// Readable once the process has ended, waited for or not.
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(0, int(time.Until(until).Milliseconds())))
		if !errors.Is(err, unix.EINTR) { // by a signal of Go's own
			return
		}
	}
}
