package systemd

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// statusLength limits the status line of "systemctl status", in bytes.
const statusLength = 200

// The names of the sockets that systemd hands over at start (FileDescriptorName= of their units).
const (
	RootSocket     = "root"
	OperatorSocket = "operator"
	FactorSocket   = "factor"
	WebSocket      = "web" // only where there is a page
)

// Ready tells systemd that the service answers, and sets its status line. Like the other functions
// here it does nothing if NOTIFY_SOCKET is unset.
func Ready(status string) error { return notify(daemon.SdNotifyReady + "\n" + statusLine(status)) }

// Status sets the line shown by "systemctl status". The text may contain foreign text, so it is
// quoted, so that it cannot pass for a message to systemd, and clipped.
func Status(text string) error { return notify(statusLine(text)) }

// Stopping tells systemd that the service is about to end.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// KeepAlive tells systemd's watchdog that the service is alive.
func KeepAlive() error { return notify(daemon.SdNotifyWatchdog) }

// KeepAliveInterval is the interval for KeepAlive: half of WatchdogSec=. Zero: there is no
// watchdog.
func KeepAliveInterval() (time.Duration, error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("cannot read the watchdog's interval: %w", err)
	}
	return limit / 2, nil
}

// statusLine doubles backslashes, because systemd drops one of two when it splits the message.
func statusLine(text string) string {
	return "STATUS=" + strings.ReplaceAll(printable.Clip(text, statusLength), `\`, `\\`)
}

func notify(message string) error {
	if _, err := daemon.SdNotify(false, message); err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	return nil
}
