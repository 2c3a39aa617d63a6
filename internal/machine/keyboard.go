package machine

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A keyboard types what is read from a file on a terminal, until it is let go
// of. It reads only what it types: a reader that blocks in read(2) would take
// the next key press from whoever reads after it.
type keyboard struct {
	from    int
	to      *Terminal
	release *os.File // closing it ends the keyboard
	wake    *os.File // then this is readable
	done    chan struct{}
}

func (t *Terminal) keyboard(from *os.File) (*keyboard, error) {
	wake, release, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot read the keyboard: %w", err)
	}
	k := &keyboard{from: int(from.Fd()), to: t, release: release, wake: wake, done: make(chan struct{})}
	go k.run()
	return k, nil
}

// run ends with the keyboard. When it is gone, because its terminal hung up, the
// program's terminal hangs up too.
func (k *keyboard) run() {
	defer close(k.done)
	keys := make([]byte, 4096)
	for {
		ready, err := k.await()
		if err != nil || !ready {
			return
		}
		n, err := unix.Read(k.from, keys)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil || n == 0 {
			_ = k.to.master.Close()
			return
		}
		if _, err := k.to.master.Write(keys[:n]); err != nil {
			return
		}
	}
}

// await tells whether there is something to read; false: let go.
func (k *keyboard) await() (bool, error) {
	both := []unix.PollFd{{Fd: int32(k.from), Events: unix.POLLIN}, {Fd: int32(k.wake.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(both, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return both[1].Revents == 0, err
	}
}

// close lets go of the keyboard, and returns when nothing more is read.
func (k *keyboard) close() error {
	err := k.release.Close()
	<-k.done
	return errors.Join(err, k.wake.Close())
}
