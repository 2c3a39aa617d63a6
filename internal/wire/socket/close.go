package socket

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// closeWithin is how long a close may block before a signal interrupts it.
	closeWithin = 5 * time.Millisecond
	// mostDisposed bounds how many threads close received descriptors at the same time: closing a
	// file on FUSE waits for its file system, and no signal helps.
	mostDisposed = 8
)

var disposing = make(chan struct{}, mostDisposed)

// dispose closes unwanted descriptors from a peer. The peer can make that slow, but delays only
// itself: its connection stays open meanwhile, and counts against its limit.
func dispose(files []*os.File) {
	if len(files) == 0 {
		return
	}
	disposing <- struct{}{}
	defer func() { <-disposing }()
	for _, f := range files {
		_ = closeSoon(f)
	}
}

// closeSoon closes f, and with it any descriptors that still wait in a socket. A TCP socket among
// them waits until its data is received, as long as its creator has set (SO_LINGER in socket(7)),
// unless a signal interrupts it; so closeSoon sends one. That interrupts nothing else: SIGURG is
// what the Go runtime sends to its own threads, and handles.
func closeSoon(f *os.File) error {
	runtime.LockOSThread() // so that the signals do not reach another thread
	defer runtime.UnlockOSThread()
	thread, done, woken := unix.Gettid(), make(chan struct{}), make(chan struct{})
	timer := time.AfterFunc(closeWithin, func() {
		defer close(woken)
		tick := time.NewTicker(closeWithin)
		defer tick.Stop()
		for {
			_ = unix.Tgkill(unix.Getpid(), thread, unix.SIGURG)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	err := f.Close()
	close(done)
	if !timer.Stop() {
		<-woken // so that no signal comes after the thread is released
	}
	return err
}
