package machine

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A keyboard types into a terminal what it reads from a file, until it is closed. It reads only
// what it types: a reader blocked in read(2) would take the next key press from the program that
// reads next.
type keyboard struct {
	from    int
	to      *Terminal
	release *os.File // closing it ends the keyboard
	wake    *os.File // readable once release is closed
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

// run ends with the keyboard. When the keyboard's own terminal hangs up, the program's terminal
// hangs up too.
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

// await reports whether there is input; false means that the keyboard is closed.
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

// close ends the keyboard and returns when it reads nothing more.
func (k *keyboard) close() error {
	err := k.release.Close()
	<-k.done
	return errors.Join(err, k.wake.Close())
}
