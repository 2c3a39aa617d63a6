package systemd

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/shadowsync/shadowsync/internal/printable"
)

// statusLength bounds the status line of "systemctl status", in bytes.
const statusLength = 200

// The names of the sockets handed over at start (FileDescriptorName= of their units).
const (
	RootSocket     = "root"
	OperatorSocket = "operator"
)

// Ready tells systemd that the service answers, and shows status. Like the others
// here it does nothing where nobody asked to be told (NOTIFY_SOCKET unset).
func Ready(status string) error { return notify(daemon.SdNotifyReady + "\n" + statusLine(status)) }

// Status shows a line in "systemctl status". Foreign text may be in it: it is
// quoted, so that it cannot pass for a message to systemd, and clipped.
func Status(text string) error { return notify(statusLine(text)) }

// Stopping tells systemd that the service is about to end.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// KeepAlive tells systemd's watchdog that the service is well.
func KeepAlive() error { return notify(daemon.SdNotifyWatchdog) }

// KeepAliveInterval is how often KeepAlive is due: half of WatchdogSec=. Zero: never.
func KeepAliveInterval() (time.Duration, error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("cannot tell the watchdog's interval: %w", err)
	}
	return limit / 2, nil
}

// statusLine doubles backslashes: systemd drops one of them where it splits the message.
func statusLine(text string) string {
	return "STATUS=" + strings.ReplaceAll(printable.Clip(text, statusLength), `\`, `\\`)
}

func notify(message string) error {
	if _, err := daemon.SdNotify(false, message); err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	return nil
}
