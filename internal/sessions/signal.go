package sessions

import (
	"errors"

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
	if now := origin.FromPID(p.PID); now.StartTicks != p.StartTicks {
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
