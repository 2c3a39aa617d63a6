package machine

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// letGo kills an nsenter(1) that would block the machine's end. systemd-shutdown(8) first stops
// every process and then kills it. nsenter sees its child stop, stops itself as a shell's job
// would, and does not continue. The dead child stays a zombie that only nsenter could reap, and a
// pid namespace does not end before its last zombie is gone (pid_namespaces(7)), so the machine
// would hang in its shutdown.
//
// It returns when the process has ended. It leaves the exit status for the parent's wait.
func letGo(pid, leader int) {
	for {
		var seen unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &seen, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || seen.Code != cldStopped:
			return
		case shuttingDown(leader):
			killChildren(pid) // an interactive shell ignores SIGTERM, so the shutdown would wait for it
			_ = unix.Kill(pid, unix.SIGKILL)
			return
		}
		// Another process stopped it. This consumes the report, so that the next Waitid blocks.
		_ = unix.Waitid(unix.P_PID, pid, &seen, unix.WSTOPPED|unix.WNOHANG, nil)
	}
}

// cldStopped is CLD_STOPPED of sigaction(2).
const cldStopped = 5

// shuttingDown reports whether process 1 has become systemd-shutdown. The kernel shows the first 15
// bytes of its name.
func shuttingDown(leader int) bool {
	name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(leader), "comm"))
	return err != nil || strings.HasPrefix(string(name), "systemd-shutdow")
}
