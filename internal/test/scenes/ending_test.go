package scenes

import (
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestWhatEndsSessions: by default a change that comes as a hash ends no sessions. If the
// configuration says so, it does, and the kinds of change that the configuration omits end none.
func TestWhatEndsSessions(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.passwd("admin", oldPassword)
	d := s.logIn("admin", oldPassword)
	s.Must("usermod", "-p", s.hashed(oldPassword), "admin")
	s.stays(d, "usermod")
	s.configure("[sessions]\nend_on = [\"pam\", \"watch\"]\n")
	s.Must("shadowsync", "user", "set", "password", "admin", newPassword)
	s.stays(d, "the tool, which is left out")
	s.Must("usermod", "-p", s.hashed(oldPassword), "admin")
	d.Ended(machine.Patience)

	// A session in which a user changes their own password stays if keep_own is true.
	for _, c := range []struct {
		own            string
		current, fresh string
		stays          bool
	}{{"true", oldPassword, newPassword, true}, {"false", newPassword, oldPassword, false}} {
		s.configure("[sessions]\nkeep_own = " + c.own + "\n")
		d := s.logIn("admin", c.current)
		d.Send("passwd\n")
		d.Answer("urrent password: ", c.current)
		d.Answer("New password: ", c.fresh)
		d.Answer("Retype new password: ", c.fresh)
		if c.stays {
			d.Expect("updated successfully", machine.Patience)
			s.stays(d, "the session that passwd ran in")
		} else {
			d.Ended(machine.Patience)
		}
	}
}

// logIn opens a session with a shell in it.
func (s *stage) logIn(account, password string) *machine.Dialogue {
	s.t.Helper()
	d := s.SSH(account, password)
	d.Expect("$ ", machine.Patience)
	return d
}

// stays asserts that a session is still open some time after a change that might have ended it.
// Ending would take half a second at most.
func (s *stage) stays(d *machine.Dialogue, after string) {
	s.t.Helper()
	s.eventually("in sync after "+after, machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
	time.Sleep(time.Second) // time for an end that must not come
	d.Send("echo still $((40+2))\n")
	d.Expect("still 42", machine.Patience)
}

// configure adds a table to the configuration, and removes the one that it added before.
func (s *stage) configure(table string) {
	s.t.Helper()
	file := "/etc/shadowsync/shadowsync.toml"
	s.MustShell("sed -i '/^# added/,$d' " + file + " && cat >> " + file + " <<'END'\n# added\n" + table + "END\nsystemctl restart shadowsync.service")
}
