package origin

import (
	"os"
	"strconv"
	"strings"
)

// sessionDir is where logind keeps what sd_session_get_remote_host(3) reads; that function does not
// use D-Bus either.
const sessionDir = "/run/systemd/sessions"

// RemoteOf returns the host that a login session came from; empty: a local session, or one that
// logind does not know.
func RemoteOf(session string) string { return valueOf(sessionDir, session, "REMOTE_HOST") }

// LoggedIn reports whether a process's login uid is reliable. Any process may set it while it is
// unset (audit_set_loginuid in the kernel). So it counts only if logind has a session of that uid
// with the audit session's number, or if the process is in the scope of a session of that uid.
func (p Process) LoggedIn() bool { return p.loggedIn(sessionDir) }

func (p Process) loggedIn(dir string) bool {
	if p.LoginUID == nil {
		return false
	}
	uid := strconv.Itoa(*p.LoginUID)
	if p.AuditSession != nil {
		number := strconv.Itoa(*p.AuditSession) // logind uses it as the session's id
		if valueOf(dir, number, "AUDIT") == number && valueOf(dir, number, "UID") == uid {
			return true
		}
	}
	return valueOf(dir, p.Session, "UID") == uid
}

// valueOf reads one variable of logind's file about a session.
func valueOf(dir, session, key string) string {
	if session == "" {
		return ""
	}
	text, err := os.OpenInRoot(dir, session)
	if err != nil {
		return ""
	}
	defer text.Close()
	content := make([]byte, 16<<10)
	n, _ := text.Read(content) // a failed read gives no value
	for line := range strings.Lines(string(content[:n])) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return value
		}
	}
	return ""
}
