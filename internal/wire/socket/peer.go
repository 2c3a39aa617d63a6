package socket

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end, as the kernel recorded it when that process connected
// (SO_PEERCRED in unix(7)). Its ids are the effective ones: a setuid-root program that a user runs
// has uid 0.
type Peer struct {
	PID, UID, GID int
	// Process protects against reuse of PID: a pidfd (pidfd_open(2)), or nil if the kernel has none
	// (before Linux 6.5) or the process was already gone.
	Process *os.File
}

// Peer asks the kernel for the process at the other end. The caller closes the result.
func (c *Conn) Peer() (Peer, error) {
	var peer Peer
	err := control(c.file, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return err
		}
		peer = Peer{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}
		// All its errors mean "no pidfd": ENOPROTOOPT (old kernel), ESRCH or EINVAL (process gone),
		// ENODATA, EMFILE.
		if pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD); err == nil {
			peer.Process = os.NewFile(uintptr(pidfd), "pidfd")
		}
		return nil
	})
	if err != nil {
		return Peer{}, fmt.Errorf("cannot tell the peer: %w", err)
	}
	return peer, nil
}

// Alive reports whether the process that connected is known to run still. Then what /proc/PID
// showed a moment ago was about this process and no other. Without a pidfd it is not known.
func (p Peer) Alive() bool {
	if p.Process == nil {
		return false
	}
	err := control(p.Process, func(fd int) error {
		// A pidfd becomes readable when its process ends, even while it is a zombie. poll(2) fails with
		// EINTR even where it does not wait: a signal of the Go runtime is no death.
		return RetryInterrupted(func() error {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			if err == nil && n > 0 {
				err = unix.ESRCH
			}
			return err
		})
	})
	return err == nil
}

// Close closes the pidfd.
func (p Peer) Close() error {
	if p.Process == nil {
		return nil
	}
	if err := p.Process.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
