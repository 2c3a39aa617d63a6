package setup_test

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestAWatchedStart: setup --restart distinguishes a store from which the application sets the OS
// accounts from one that it does not read, before any password is lost.
func TestAWatchedStart(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	says := func(out, text string) {
		t.Helper()
		if !strings.Contains(out, text) {
			t.Errorf("it does not say %q:\n%s", text, out)
		}
	}

	wrong := m.Run("shadowsync", "setup", "--unit", "128T", "--account", "admin", "user222", "--store", "sqlite", "--restart")
	if wrong.Code != 1 {
		t.Errorf("with a store that nobody reads: %s", wrong)
	}
	says(wrong.Stderr, "cannot keep passwords of 128T.service: it set the OS accounts at its start, but did not read /var/lib/shadowsync/credentials.db")
	says(wrong.Stderr, "hint: edit /etc/shadowsync/shadowsync.toml ([application.store]), then: shadowsync setup --restart")
	says(m.Must("shadowsync", "audit"), "does not keep its passwords in")

	// Follow the hint.
	m.Configure()
	m.Must("systemctl", "restart", "shadowsync.service")
	right := m.Must("shadowsync", "setup", "--first", "os", "--restart")
	says(right, "seen: 128T.service read "+machine.StorePath+" at its start at ")
	says(right, "not confirmed yet that 128T.service keeps a new password: change one (passwd admin), then run shadowsync setup --restart")
	m.Input("Trubador-Gneis-81\nTrubador-Gneis-81\n").Must("passwd", "admin")
	says(m.Must("shadowsync", "setup", "--restart"), "confirmed: admin's password was changed at ")
	if !m.Login("admin", "Trubador-Gneis-81") {
		t.Error("the new password does not open")
	}

	m.Must("shadowsync", "guard", "hold", "128T.service")
	held := m.Run("shadowsync", "setup", "--restart")
	if held.Code != 1 {
		t.Errorf("under a guard: %s", held)
	}
	says(held.Stderr, "cannot watch a start of 128T.service: ")
	says(held.Stderr, "hint: systemctl status 128T.service; shadowsync status")
	m.Must("shadowsync", "guard", "release", "128T.service")

	// A valid store that the application does not read, with passwords that the application does
	// not have.
	m.MustShell("cp -p " + machine.StorePath + " /var/lib/128technology/other.json && sed -i s/user-running/other/ /etc/shadowsync/shadowsync.toml && systemctl restart shadowsync.service")
	m.Input("Trubador-Gneis-82\nTrubador-Gneis-82\n").Must("passwd", "admin")
	m.WaitFor("the first pair is settled, and its guard lifted", machine.Patience, func() bool {
		return m.Run("shadowsync", "status", "--check").Code == 0 && !m.Guarded()
	})
	lost := m.Run("shadowsync", "setup", "--restart")
	if lost.Code != 1 {
		t.Errorf("with a copy of the store: %s", lost)
	}
	says(lost.Stderr, "It does not keep its passwords in /var/lib/128technology/other.json")
}
