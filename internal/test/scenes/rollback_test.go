package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// putBack restores an older shadow file, or one line of it, on a machine that is off.
func (s *stage) putBack(older, account string) {
	s.t.Helper()
	var text strings.Builder
	for line := range strings.Lines(s.ReadFile("/etc/shadow")) {
		name, _, _ := strings.Cut(line, ":")
		if account == "" || name == account {
			line = lineOf(older, name)
		}
		text.WriteString(line)
	}
	s.WriteFile("/etc/shadow", text.String(), 0o640)
}

// rolledBack puts back the whole older image under another rule, and returns how many records
// of admin the audit had before.
func (s *stage) rolledBack(rule, backup string) (before int) {
	s.t.Helper()
	s.rule(rule)
	s.Input("clerk:Clerk-" + rule + "-77\n").Must("chpasswd")
	s.passwd("admin", "Current-new-35")
	s.eventually("the newer state is on record", machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
	before = len(s.audit("admin"))
	s.PowerOff()
	s.putBack(backup, "")
	s.PowerOn()
	return before
}

// rule sets the application's rule for a rollback.
func (s *stage) rule(rollback string) {
	s.t.Helper()
	s.MustShell("sed -i '/^rollback/d; s/^unit .*/&\\nrollback = \"" + rollback + "\"/' /etc/shadowsync/shadowsync.toml && systemctl restart shadowsync.service")
}

func lineOf(shadow, account string) string {
	for line := range strings.Lines(shadow) {
		if strings.HasPrefix(line, account+":") {
			return line
		}
	}
	return ""
}

// since returns the actions of admin's records after the first n that are on time. It leaves out
// the dumps that the application makes while it stops.
func (s *stage) since(n int) (actions []string) {
	s.t.Helper()
	for _, e := range onTime(s.audit("admin")[n:]) {
		if e.Action != "adopted-again" {
			actions = append(actions, e.Action)
		}
	}
	return actions
}

// TestRollback: at boot shadowsync recognises an older image with its older accounts. If only
// one account was restored from a backup by hand, it takes that as a wanted change.
func TestRollback(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.AddUser("clerk", "Clerk-first-77")
	s.passwd("admin", "Backup-old-31")
	backup := s.ReadFile("/etc/shadow")
	s.eventually("the state of the backup is on record", machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
	s.Input("clerk:Clerk-second-77\n").Must("chpasswd")
	s.passwd("admin", "Current-new-32")

	s.sub("the whole image", func(s *stage) {
		before := len(s.audit("admin"))
		s.PowerOff()
		s.putBack(backup, "")
		s.PowerOn()
		s.eventually("the newer password holds", machine.Patience, func() bool { return s.opensHash(s.ShadowHash("admin"), "Current-new-32") })
		s.eventually("it is on record", machine.Patience, func() bool { return len(s.since(before)) > 0 })
		if got := strings.Join(s.since(before), " "); got != "rolled-back" {
			s.t.Errorf("the audit says %q", got)
		}
		s.eventually("the journal warns", machine.Patience, func() bool {
			return strings.Contains(s.Journal("-b", "-p", "warning", "-t", "shadowsync"), "rolled back to an older state; the newer value stays")
		})
		if !s.opensHash(s.ShadowHash("clerk"), "Clerk-first-77") {
			s.t.Error("the line of an account that nobody manages was touched")
		}
		s.inStore("admin")
		s.opens("admin", "Current-new-32", "Backup-old-31")
	})

	s.sub("one account by hand", func(s *stage) {
		before := len(s.audit("admin"))
		s.PowerOff()
		s.putBack(backup, "admin")
		s.PowerOn()
		s.eventually("the store has the restored password", machine.Patience, func() bool { return s.opensHash(s.StoreHash("admin"), "Backup-old-31") })
		s.inStore("admin")
		s.eventually("it is on record", machine.Patience, func() bool { return len(s.since(before)) > 0 })
		if got := strings.Join(s.since(before), " "); got != "adopted" {
			s.t.Errorf("the audit says %q", got)
		}
		s.opens("admin", "Backup-old-31", "")
	})

	s.sub("one account by hand, at run time", func(s *stage) {
		s.passwd("admin", "Current-new-33")
		before := len(s.audit("admin"))
		s.WriteFile("/root/line", lineOf(backup, "admin"), 0o600)
		s.MustShell("cp -p /etc/shadow /etc/shadow.new && sed -i -e '/^admin:/{r /root/line' -e 'd}' /etc/shadow.new && mv /etc/shadow.new /etc/shadow")
		s.eventually("the store has the restored password", machine.Patience, func() bool { return s.opensHash(s.StoreHash("admin"), "Backup-old-31") })
		s.restart()
		s.inStore("admin")
		s.eventually("it is on record", machine.Patience, func() bool { return len(s.since(before)) > 0 })
		if got := s.since(before); len(got) == 0 || got[0] != "adopted" || !s.opensHash(s.ShadowHash("admin"), "Backup-old-31") {
			s.t.Errorf("the audit says %q", got)
		}
	})

	s.sub("configuration management", func(s *stage) {
		managed := s.hashed("Managed-44-hash")
		s.Must("usermod", "-p", managed, "admin")
		s.managed(managed)
		before := len(s.audit("admin"))
		for range 10 {
			s.Must("usermod", "-p", managed, "admin")
		}
		s.restart()
		s.Must("usermod", "-p", managed, "admin")
		if got := s.since(before); len(got) > 0 {
			s.t.Errorf("the same hash again: %q", got)
		}
		s.passwd("admin", "Current-new-34")
		before = len(s.audit("admin"))
		s.Must("usermod", "-p", managed, "admin") // within the settle time of the restart
		s.managed(managed)
		s.eventually("it is on record", machine.Patience, func() bool { return len(s.since(before)) > 0 })
		if got := s.since(before); len(got) == 0 || got[0] != "adopted" {
			s.t.Errorf("the audit says %q", got)
		}
		s.restart()
		if s.ShadowHash("admin") != managed || s.StoreHash("admin") != managed {
			s.t.Error("the restart undid what configuration management had set")
		}
	})

	s.sub("the whole image, rule os", func(s *stage) {
		before := s.rolledBack("os", backup)
		s.eventually("the older password holds", machine.Patience, func() bool {
			return s.opensHash(s.ShadowHash("admin"), "Backup-old-31") && s.opensHash(s.StoreHash("admin"), "Backup-old-31") && s.state("admin").State == "in-sync"
		})
		if got := s.since(before); len(got) == 0 || got[0] != "rolled-back" {
			s.t.Errorf("the audit says %q", got)
		}
	})

	s.sub("the whole image, rule hold", func(s *stage) {
		s.MustShell("systemctl disable " + machine.ApplianceUnit)
		before := s.rolledBack("hold", backup)
		s.eventually("it is a conflict", machine.Patience, func() bool { return s.state("admin").State == "conflict" })
		known := len(s.audit("user222"))
		s.Must("chage", "-W", "9", "user222")
		s.eventually("there was a later look", machine.Patience, func() bool { return len(s.audit("user222")) > known })
		if s.state("admin").State != "conflict" || !s.opensHash(s.ShadowHash("admin"), "Backup-old-31") || !s.opensHash(s.StoreHash("admin"), "Current-new-35") {
			s.t.Error("nobody decided, and it is settled")
		}
		s.MustShell("systemctl enable --now " + machine.ApplianceUnit)
		s.eventually("what the application brought from its store holds", machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
		s.opens("admin", "Current-new-35", "Backup-old-31")
		if got := s.since(before); len(got) == 0 || got[0] != "conflict" {
			s.t.Errorf("the audit says %q", got)
		}
	})
}

// managed waits until the store and the records have what configuration management set.
func (s *stage) managed(hash string) {
	s.t.Helper()
	s.eventually("the store has the managed password", machine.Patience, func() bool {
		return s.StoreHash("admin") == hash && s.state("admin").State == "in-sync"
	})
}
