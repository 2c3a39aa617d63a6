package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// manages configures the application to manage these accounts from now on.
func (s *stage) manages(names ...string) {
	s.t.Helper()
	s.MustShell(`sed -i 's/^accounts .*/accounts = ["` + strings.Join(names, `", "`) + `"]/' ` + machine.ConfigurationPath + ` && systemctl restart shadowsync.service`)
}

// reaches waits until an account has a state.
func (s *stage) reaches(name, state string) {
	s.t.Helper()
	s.eventually(name+" is "+state, machine.Patience, func() bool { return s.state(name).State == state })
}

// TestFirstPair: the sides of an account differ before shadowsync has any record of it. A change
// by PAM stands, a mere difference decides nothing, and the value that loses is in the history.
func TestFirstPair(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{Accounts: []string{"admin", "user222", "fresh", "bare", "undecided"}})
	afresh := func(name string) { s.MustShell("userdel " + name + " && useradd " + name) }

	s.sub("passwd", func(s *stage) {
		afresh("fresh")
		s.manages("admin", "user222", "fresh")
		s.reaches("fresh", "conflict")
		if reason := *s.state("fresh").Reason; strings.Contains(reason, "passwd -d") {
			s.t.Errorf("status says %q", reason)
		}
		s.persists("fresh", "Fresh-1-velvet-x", "conductor's")
		s.reaches("fresh", "in-sync")
		s.eventually("nothing is held", machine.Patience, func() bool { return s.status().Guard == "off" })
		s.restart()
		s.sides("fresh", "Fresh-1-velvet-x", "Fresh-1-velvet-x")
		s.opens("fresh", "Fresh-1-velvet-x", machine.OldPassword)
		s.exits(0, "shadowsync", "history", "restore", "fresh", s.lost("fresh"))
		s.opens("fresh", machine.OldPassword, "Fresh-1-velvet-x")
	})

	s.sub("setup --first os", func(s *stage) {
		afresh("bare")
		s.manages("admin", "user222", "fresh", "bare")
		s.reaches("bare", "conflict")
		s.exits(0, "shadowsync", "setup", "--first", "os")
		s.reaches("bare", "in-sync")
		if in := s.StoreHash("bare"); in != "!" {
			s.t.Errorf("the store holds %.5q", in)
		}
		s.lost("bare")
		s.persists("bare", "Bare-1-velvet-x", "conductor's")
		s.eventually("nothing is held", machine.Patience, func() bool { return s.status().Guard == "off" })
		s.restart()
		s.opens("bare", "Bare-1-velvet-x", machine.OldPassword)
	})

	s.sub("nobody decided", func(s *stage) {
		s.Must("usermod", "-p", s.hashed("Undecided-1-velvet-x"), "undecided")
		s.manages("admin", "user222", "fresh", "bare", "undecided")
		s.reaches("undecided", "conflict")
		s.eventually("the restart is held", machine.Patience, func() bool { return s.status().Guard == "on" && s.Guarded() })
		s.isHeld("undecided")
		s.MustShell("systemctl kill -s KILL " + machine.ApplianceUnit + " && systemctl start " + machine.ApplianceUnit)
		s.eventually("root's value is back", machine.Patience, func() bool { return s.opensHash(s.ShadowHash("undecided"), "Undecided-1-velvet-x") })
		s.reaches("undecided", "conflict")
		s.exits(0, "shadowsync", "sync", "undecided", "--prefer", "os")
		s.sides("undecided", "Undecided-1-velvet-x", "Undecided-1-velvet-x")
		s.lost("undecided")
		s.eventually("nothing is held", machine.Patience, func() bool { return s.status().Guard == "off" })
		s.isFree()
	})
}

// TestPasswordFields: the meaning of password fields that are not hashes, on a real machine.
func TestPasswordFields(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})

	s.sub("usermod -p '!'", func(s *stage) {
		for _, field := range []string{"!", "!!"} {
			s.Must("usermod", "-p", field, "user222")
			s.eventually("the store is locked", machine.Patience, func() bool { return strings.Trim(s.StoreHash("user222"), "!") == "" })
			s.reaches("user222", "in-sync")
			s.restart()
			if now := s.ShadowHash("user222"); strings.Trim(now, "!") != "" || now == "" {
				s.t.Errorf("after a restart the OS holds %.5q", now)
			}
			s.says(s.exits(6, "shadowsync", "user", "unlock", "user222"), "it has no password")
			s.persists("user222", "Field-"+field+"-velvet-x", "conductor's")
			s.restart()
			s.opens("user222", "Field-"+field+"-velvet-x", "")
		}
	})

	s.sub("a marker is no lock", func(s *stage) {
		for _, field := range []string{"*", "!*"} {
			s.Must("usermod", "-p", field, "user222")
			s.eventually("the store has it", machine.Patience, func() bool { return s.StoreHash("user222") == field })
			s.says(s.exits(6, "shadowsync", "user", "unlock", "user222"), "it has no password")
		}
		s.Must("usermod", "-p", "*", "user222")
		s.exits(0, "shadowsync", "user", "lock", "user222")
		s.says(s.exits(0, "shadowsync", "user", "unlock", "user222"), "Unlocked user account `user222` for its keys: it has no password")
		if now := s.ShadowHash("user222") + " " + s.field("user222", 8); now != "* " {
			s.t.Errorf("the OS holds %q", now)
		}
	})

	s.sub("no password in the store", func(s *stage) {
		s.passwd("user222", "Nothing-1-velvet-x")
		s.reaches("user222", "in-sync")
		s.swapStore(`"`+s.StoreHash("user222")+`"`, "null")
		s.reaches("user222", "conflict")
		s.persists("user222", "Nothing-2-velvet-x", "conductor's")
		s.sides("user222", "Nothing-2-velvet-x", "Nothing-2-velvet-x")
	})

	s.sub("many marks, and one bad account of a list", func(s *stage) {
		hash := s.hashed("Marked-1-velvet-x")
		s.Must("usermod", "-p", "!!"+hash, "admin")
		s.reaches("admin", "in-sync")
		out := s.exits(5, "shadowsync", "user", "unlock", "user222", "nobody-here", "admin")
		s.says(out, "Unlocked user account `admin`")
		s.opens("admin", "Marked-1-velvet-x", "")
		s.reaches("admin", "in-sync")
		s.restart()
		s.opens("admin", "Marked-1-velvet-x", "")
		s.exits(5, "shadowsync", "user", "lock", "--password-only", "nobody-here", "admin")
		if now := s.ShadowHash("admin"); now != "!"+hash {
			s.t.Errorf("the OS holds %.5q", now)
		}
		s.exits(0, "shadowsync", "user", "unlock", "admin")
	})

	s.sub("a field that is no value", func(s *stage) {
		good := s.StoreHash("admin")
		for _, field := range []string{"x", "NP", "*NP*"} {
			s.Must("usermod", "-p", field, "admin")
			s.reaches("admin", "conflict")
			s.says(*s.state("admin").Reason, "kept elsewhere")
			if now := s.StoreHash("admin"); now != good {
				s.t.Errorf("%s goes over the store's hash: %.5q", field, now)
			}
			s.exits(0, "shadowsync", "sync", "admin", "--prefer", "store")
			s.reaches("admin", "in-sync")
			s.AskAppliance("set", "admin", field)
			s.reaches("admin", "conflict")
			if now := s.ShadowHash("admin"); now != good {
				s.t.Errorf("%s of the store goes over the OS's hash: %.5q", field, now)
			}
			s.exits(0, "shadowsync", "sync", "admin", "--prefer", "os")
			s.reaches("admin", "in-sync")
		}
	})
}
