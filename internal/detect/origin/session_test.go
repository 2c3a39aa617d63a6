package origin

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRemoteOf(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1":  "# This is private data. Do not parse.\nUID=0\nTTY=tty1\n",
		"c7": "UID=1000\nREMOTE=1\nREMOTE_HOST=192.0.2.1\nSERVICE=sshd\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for session, want := range map[string]string{"": "", "1": "", "c7": "192.0.2.1", "9": "", "../c7": "", ".": ""} {
		if got := valueOf(dir, session, "REMOTE_HOST"); got != want {
			t.Errorf("session %q: got %q, want %q", session, got, want)
		}
	}
}

// TestLoggedIn: a login uid that the process set itself proves nothing.
func TestLoggedIn(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"7": "UID=1000\nUSER=admin\nAUDIT=7\n", "8": "UID=1000\nAUDIT=9\n", "c1": "UID=1000\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := func(v int) *int { return &v }
	for name, c := range map[string]struct {
		p    Process
		want bool
	}{
		"a login":                         {Process{LoginUID: n(1000), AuditSession: n(7)}, true},
		"another's number":                {Process{LoginUID: n(1001), AuditSession: n(7)}, false},
		"a number that logind has not":    {Process{LoginUID: n(1000), AuditSession: n(99)}, false},
		"a session of that name, not its": {Process{LoginUID: n(1000), AuditSession: n(8)}, false},
		"none":                            {Process{AuditSession: n(7)}, false},
		"no number, in the session":       {Process{LoginUID: n(1000), Session: "c1"}, true},
		"no number, another's session":    {Process{LoginUID: n(1001), Session: "c1"}, false},
		"no number, no session":           {Process{LoginUID: n(1000)}, false},
	} {
		if got := c.p.loggedIn(dir); got != c.want {
			t.Errorf("%s: proven is %v", name, got)
		}
	}
}

func TestInvoker(t *testing.T) {
	root, person := 0, 1000
	for name, tc := range map[string]struct {
		ancestors []Ancestor
		want      *int
	}{
		"nobody":      {nil, nil},
		"root alone":  {[]Ancestor{{UID: &root}, {UID: nil}}, nil},
		"behind sudo": {[]Ancestor{{UID: &root}, {UID: &person}, {UID: &root}}, &person},
	} {
		if got := (Process{Ancestors: tc.ancestors}).Invoker(); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
