package scenes

import (
	"encoding/json"
	"strings"
)

// listsSessions: user list and user show count user222's open sessions. If they cannot ask logind,
// they say so, and not that there are none.
func (s *stage) listsSessions() {
	s.t.Helper()
	const hidden = "unshare --mount sh -c 'mount -t tmpfs none /run/dbus && exec shadowsync user show user222 %'"
	var shown struct{ Sessions *[]any }
	for line, known := range map[string]bool{
		"shadowsync user show user222 --json": true, strings.Replace(hidden, "%", "--json", 1): false,
	} {
		shown.Sessions = nil
		r := s.Shell(line)
		if err := json.Unmarshal([]byte(r.Stdout), &shown); err != nil || r.Code != 0 {
			s.t.Fatalf("%v, %s", err, r)
		}
		if known != (shown.Sessions != nil && len(*shown.Sessions) == 1) || known == strings.Contains(r.Stderr, "cannot list the sessions") {
			s.t.Errorf("%s: %s", line, r)
		}
	}
	if said := s.MustShell(strings.Replace(hidden, "%", "2>/dev/null", 1)); !strings.Contains(said, "not known") {
		s.t.Errorf("without logind user show says:\n%s", said)
	}
	var list struct {
		Users []struct {
			Name     string
			Sessions []any
		}
	}
	if err := json.Unmarshal([]byte(s.Must("shadowsync", "user", "list", "--json")), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, u := range list.Users {
		if (len(u.Sessions) == 1) != (u.Name == "user222") || u.Sessions == nil {
			s.t.Errorf("user list says of %s: %v", u.Name, u.Sessions)
		}
	}
}
