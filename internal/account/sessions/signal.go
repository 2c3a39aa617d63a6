package sessions

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
)

// send signals exactly this process. It ignores a process that has exited.
func send(p origin.Process, signals ...unix.Signal) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return gone(err)
	}
	defer unix.Close(fd)
	// The descriptor was opened before this check: if the start time matches, it is of this
	// process.
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

// awaitEnds waits until all processes that must end have ended, or until the given time is over. It
// does not wait for the leader of a session that closes after the account's processes: see follow.
func (s *scene) awaitEnds(most time.Duration) {
	until := time.Now().Add(most)
	for _, p := range s.mine {
		AwaitEnd(p, time.Until(until))
	}
	for _, p := range s.guests {
		if !s.leads(p) || !s.seen[p.Session] {
			AwaitEnd(p, time.Until(until))
		}
	}
}

// AwaitEnd waits until a process has ended, or until the given time is over, and reports whether it has
// ended. If another process has reused the pid, the wait is no longer than that.
func AwaitEnd(p origin.Process, most time.Duration) (ended bool) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer unix.Close(fd)
	until := time.Now().Add(most)
	for {
		// Readable once the process has ended, even before its parent has reaped it.
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(0, int(time.Until(until).Milliseconds())))
		if !errors.Is(err, unix.EINTR) { // EINTR: interrupted by a signal of the Go runtime
			return n > 0
		}
	}
}
