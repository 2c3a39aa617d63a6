package sessions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/systemd"
)

// loginServices let people in. Where no pam_systemd gives a login a session of its
// own, its processes stay in the service's.
var loginServices = []string{"ssh", "sshd", "dropbear", "getty", "serial-getty", "console-getty", "container-getty"}

// places tells which processes are somebody's sessions.
type places struct {
	uid    int
	logins map[string]systemd.Login // by id
	booted bool                     // systemd keeps everything in units here
}

// holds tells whether a process of the account is where a password lets it in.
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
		// In no unit: put there by nsenter(1) and its like. Without systemd everything is there.
		return p.booted && at.Cgroup == "/"
	}
	return isLoginService(at.Unit)
}

// own tells whether logind deals with a process, in a session of this account.
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
	name, _, _ := strings.Cut(stem, "@") // an instance a connection, or a terminal
	return ok && slices.Contains(loginServices, name)
}
