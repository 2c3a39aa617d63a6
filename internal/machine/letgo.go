package machine

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// letGo kills an nsenter(1) that would hold up the machine's end. Before it kills
// what is left, systemd-shutdown(8) stops every process; nsenter sees its child
// stop, stops itself as a shell's job would, and does not go on. The dead child
// then stays a zombie that only nsenter could take away, and a pid namespace does
// not end before its last zombie is gone (pid_namespaces(7)): the machine would
// hang in its shutdown.
//
// It returns when the process has ended. It takes nothing from whoever waits for it.
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
			killChildren(pid) // an interactive shell ignores SIGTERM, and the shutdown would wait for it
			_ = unix.Kill(pid, unix.SIGKILL)
			return
		}
		// Somebody else stopped it: that is done with when it is taken note of.
		_ = unix.Waitid(unix.P_PID, pid, &seen, unix.WSTOPPED|unix.WNOHANG, nil)
	}
}

// cldStopped is CLD_STOPPED of sigaction(2).
const cldStopped = 5

// shuttingDown tells whether process 1 has become systemd-shutdown, which the
// kernel shows by the first 15 bytes of its name.
func shuttingDown(leader int) bool {
	name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(leader), "comm"))
	return err != nil || strings.HasPrefix(string(name), "systemd-shutdow")
}
