package origin

import (
	"os"
	"strings"
)

// sessionDir is where logind keeps what sd_session_get_remote_host(3) reads: that
// function asks no bus either.
const sessionDir = "/run/systemd/sessions"

// RemoteOf gives the host that a login session came from; empty: a local one, or
// one that logind does not know.
func RemoteOf(session string) string { return remoteOf(sessionDir, session) }

func remoteOf(dir, session string) string {
	if session == "" {
		return ""
	}
	text, err := os.OpenInRoot(dir, session)
	if err != nil {
		return ""
	}
	defer text.Close()
	content := make([]byte, 16<<10)
	n, _ := text.Read(content) // what was not read tells nothing
	for line := range strings.Lines(string(content[:n])) {
		if host, ok := strings.CutPrefix(strings.TrimSpace(line), "REMOTE_HOST="); ok {
			return host
		}
	}
	return ""
}
