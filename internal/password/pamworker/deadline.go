package pamworker

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// killTimer sets the time at which the kernel kills this process, even if the broker is gone. The user
// whose real uid it has could stop it while it holds the lock of the password files. A stopped
// process runs no code of its own, but the kernel's timers still reach it (timer_create(2)).
type killTimer struct {
	timer int32
	set   bool
}

// create creates the timer, not set yet.
func (d *killTimer) create() error {
	// struct sigevent: the value, the signal, how to notify. It is 64 bytes long.
	event := struct {
		_      uintptr
		signal int32
		notify int32
		_      [48]byte
	}{signal: int32(unix.SIGKILL), notify: 0 /* SIGEV_SIGNAL */}
	_, _, errno := unix.Syscall(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&d.timer)))
	if errno != 0 {
		return fmt.Errorf("cannot create a deadline: %w", errno)
	}
	d.set = true
	return nil
}

// killAfter sets the deadline anew.
func (d *killTimer) killAfter(limit time.Duration) error {
	if !d.set {
		if err := d.create(); err != nil {
			return err
		}
	}
	spec := [2]unix.Timespec{1: unix.NsecToTimespec(limit.Nanoseconds())} // struct itimerspec: once, after the limit
	_, _, errno := unix.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(d.timer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("cannot set a deadline: %w", errno)
	}
	return nil
}
