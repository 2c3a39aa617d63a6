// Package boot identifies the present boot of the running system, and counts the time since it.
package boot

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	socket = "/run/systemd/notify"
	kernel = "/proc/sys/kernel/random/boot_id"
)

// ID identifies this boot; it is empty if that is unknown, as in a rescue chroot without /proc. All
// processes of the system get the same one. The kernel's boot_id alone does not suffice for that: a
// container's manager hides it behind another value, but a service's sandbox there has its own /proc
// and shows the real one. systemd creates its socket once per boot in an empty folder.
func ID() string { return id(socket, kernel) }

func id(socket, kernel string) string {
	var st unix.Stat_t
	if unix.Stat(socket, &st) == nil {
		return fmt.Sprintf("%d-%d", st.Ino, st.Mtim.Nano())
	}
	data, err := os.ReadFile(kernel)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(data))
}

// Elapsed is the time since the boot, suspension included. Nobody can set this clock
// (CLOCK_BOOTTIME).
func Elapsed() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // cannot fail: Linux has it since 2.6.39
	return time.Duration(now.Nano())
}
