package systemd

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/godbus/dbus/v5"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// whyLength limits our text in "systemd-inhibit --list", in bytes.
const whyLength = 200

// Inhibitor delays a shutdown through logind, for at most as long as logind allows
// (InhibitDelayMaxSec=, 5 s by default). The zero value does not delay yet.
type Inhibitor struct {
	mu     sync.Mutex
	wanted bool
	asked  bool     // logind has not answered yet
	lock   *os.File // logind delays until this descriptor is closed
}

// Hold delays a shutdown until Release. If it is held already, Hold does nothing. logind's answer
// is accepted even after ctx ended: it carries the descriptor of the delay, which would otherwise
// leak.
func (i *Inhibitor) Hold(ctx context.Context, why string) error {
	i.mu.Lock()
	i.wanted = true
	if i.asked || i.lock != nil {
		i.mu.Unlock()
		return nil
	}
	i.asked = true
	i.mu.Unlock()
	answered := make(chan error, 1)
	go func() { answered <- i.ask(context.WithoutCancel(ctx), why) }()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return fmt.Errorf("cannot delay a shutdown yet: %w", context.Cause(ctx))
	}
}

// ask waits for logind's answer, and keeps the delay if it is still wanted then.
func (i *Inhibitor) ask(ctx context.Context, why string) error {
	fd := dbus.UnixFD(-1)
	// go-systemd's Inhibit takes no context.
	err := callLogind(ctx, "delay a shutdown", func(login *loginConn) error {
		return login.manager(ctx, "Inhibit", "shutdown", "shadowsync", printable.Clip(why, whyLength), "delay").Store(&fd)
	})
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = false
	if err != nil {
		return err
	}
	lock := os.NewFile(uintptr(fd), "inhibitor")
	if lock == nil {
		return fmt.Errorf("cannot delay a shutdown: logind gave no descriptor")
	}
	if !i.wanted {
		return lock.Close()
	}
	i.lock = lock
	return nil
}

// Release ends the delay.
func (i *Inhibitor) Release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.wanted = false
	if i.lock != nil {
		_ = i.lock.Close()
		i.lock = nil
	}
}
