package systemd

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/godbus/dbus/v5"
	"github.com/shadowsync/shadowsync/internal/printable"
)

// whyLength bounds what "systemd-inhibit --list" shows of ours, in bytes.
const whyLength = 200

// Inhibitor delays a shutdown that logind knows of, for as long as logind allows
// (InhibitDelayMaxSec=, 5 s by default). The zero value delays nothing yet.
type Inhibitor struct {
	mu   sync.Mutex
	lock *os.File // logind's end of the delay: it goes on until this is closed
}

// Hold delays a shutdown until Release. Held already, it does nothing.
func (i *Inhibitor) Hold(ctx context.Context, why string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.lock != nil {
		return nil
	}
	var fd dbus.UnixFD
	// go-systemd's Inhibit takes no context, and a logind that hangs would hang us.
	err := callLogind(ctx, "delay a shutdown", func(login *loginConn) error {
		return login.manager(ctx, "Inhibit", "shutdown", "shadowsync", printable.Clip(why, whyLength), "delay").Store(&fd)
	})
	if err != nil {
		return err
	}
	i.lock = os.NewFile(uintptr(fd), "inhibitor")
	if i.lock == nil {
		return fmt.Errorf("cannot delay a shutdown: logind gave no descriptor")
	}
	return nil
}

// Release lets a shutdown go on.
func (i *Inhibitor) Release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.lock != nil {
		_ = i.lock.Close()
		i.lock = nil
	}
}
