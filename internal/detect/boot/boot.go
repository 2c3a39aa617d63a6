// Package boot identifies the present boot of the running system, counts the time since it, and tells whether
// its wall clock is kept right.
package boot

import (
	"bytes"
	"fmt"
	"os"
	"sync/atomic"
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
func ID() string { return present.id() }

// source is where the id of a boot is read.
type source struct {
	socket, kernel string

	known atomic.Pointer[string] // the socket's
}

var present = source{socket: socket, kernel: kernel}

// id reads the socket once: no process outlives a boot, and each holder of a lock asks several times.
// The kernel's is not kept, because the socket may be there later.
func (s *source) id() string {
	if known := s.known.Load(); known != nil {
		return *known
	}
	var st unix.Stat_t
	if unix.Stat(s.socket, &st) == nil {
		id := fmt.Sprintf("%d-%d", st.Ino, st.Mtim.Nano())
		s.known.Store(&id)
		return id
	}
	data, err := os.ReadFile(s.kernel)
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
