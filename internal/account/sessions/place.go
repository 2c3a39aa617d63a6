package sessions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/systemd"
)

// loginServices let people in. If pam_systemd gives a login no session of its own, its processes
// stay in the service's unit.
var loginServices = []string{"ssh", "sshd", "dropbear", "getty", "serial-getty", "console-getty", "container-getty"}

// places decides which processes belong to a login.
type places struct {
	uid    int
	logins map[string]systemd.Login // by id
	booted bool                     // systemd keeps every process in a unit here
}

// holds reports whether a process runs in a place that a login with a password leads to.
func (p places) holds(at origin.Process) bool {
	if at.PID == 1 {
		return false
	}
	if at.Session != "" {
		login, known := p.logins[at.Session]
		return !known || login.Opened
	}
	switch {
	case isUserManager(at.Unit):
		return true
	case at.Unit == "":
		// In no unit: nsenter(1) and the like put it there. Without systemd every process is in
		// none.
		return p.booted && at.Cgroup == "/"
	}
	return isLoginService(at.Unit)
}

// own reports whether a process is in a session of this account, so that logind ends it.
func (p places) own(at origin.Process) bool {
	login, known := p.logins[at.Session]
	return at.Session != "" && known && login.UID == p.uid
}

func userManager(uid int) string { return fmt.Sprintf("user@%d.service", uid) }

func isUserManager(unit string) bool {
	return strings.HasPrefix(unit, "user@") && strings.HasSuffix(unit, ".service")
}

func isLoginService(unit string) bool {
	stem, ok := strings.CutSuffix(unit, ".service")
	name, _, _ := strings.Cut(stem, "@") // an instance for each connection or terminal
	return ok && slices.Contains(loginServices, name)
}
