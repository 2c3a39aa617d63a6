package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestJSONStore: the file belongs to the application. shadowsync changes only the password
// strings of managed accounts in it.
func TestJSONStore(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})

	s.sub("every other byte survives", func(s *stage) {
		before, hash := s.ReadFile(machine.StorePath), s.ShadowHash("admin")
		owner := s.Must("stat", "-c", "%U:%G %a", machine.StorePath)
		if strings.Count(before, hash) != 1 {
			s.t.Fatalf("the store does not hold admin's hash once:\n%s", before)
		}
		s.passwd("admin", "Every-byte-1")
		if want := strings.Replace(before, hash, s.ShadowHash("admin"), 1); s.ReadFile(machine.StorePath) != want {
			s.t.Errorf("the store is\n%s\nwant\n%s", s.ReadFile(machine.StorePath), want)
		}
		if now := s.Must("stat", "-c", "%U:%G %a", machine.StorePath); now != owner {
			s.t.Errorf("the file was %sand is %s", owner, now)
		}
		if files := s.Must("ls", "-A", "/var/lib/128technology"); files != "user-running.json\n" {
			s.t.Errorf("left beside the file: %s", files)
		}
	})

	s.sub("the application's own change", func(s *stage) {
		s.restart() // so that it knows the present passwords
		s.AskAppliance("set", "admin", s.hashed("Clicked-in-the-app-2"))
		s.eventually("the OS has the application's value", machine.Patience, func() bool { return s.opensHash(s.ShadowHash("admin"), "Clicked-in-the-app-2") })
		s.inStore("admin")
		if a := s.state("admin"); a.State != "in-sync" || a.LastChange == nil || a.LastChange.SeenBy != "store" {
			s.t.Errorf("status says %+v, last change %+v", a, a.LastChange)
		}
		s.opens("admin", "Clicked-in-the-app-2", "Every-byte-1")
		s.restart()
		s.sides("admin", "Clicked-in-the-app-2", "Clicked-in-the-app-2")
	})

	s.sub("the application's change while nobody watches", func(s *stage) {
		s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket")
		s.AskAppliance("set", "admin", s.hashed("Clicked-in-the-app-3"))
		s.restart()
		s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
		s.sides("admin", "Clicked-in-the-app-3", "Clicked-in-the-app-3")
	})

	s.sub("one record that cannot be understood", func(s *stage) {
		good, bad := s.StoreHash("admin"), strings.Repeat("x", 5000)
		s.swapStore(good, bad)
		s.persists("user222", "Beside-the-bad-record-4", "conductor's")
		if said := s.passwd("admin", "Under-the-bad-record-4"); !strings.Contains(said, "NOT persisted (conflict: store: the") {
			s.t.Errorf("passwd of its account said %q", said)
		}
		if g := s.status().Guard; g != "off" {
			s.t.Errorf("guard %s", g)
		}
		if r := s.Run("shadowsync", "status", "--check"); r.Code != 3 || !strings.Contains(r.Stdout, "repair the store") || strings.Contains(r.Stdout, "--prefer") {
			s.t.Errorf("status: %s", r)
		}
		s.swapStore(bad, good)
		s.eventually("the record is mended", machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
		s.sides("admin", "Under-the-bad-record-4", "Under-the-bad-record-4")
	})

	s.sub("a flood of new hashes", floodedStore)

	s.sub("a deleted password is not carried over", func(s *stage) {
		before := s.StoreHash("user222")
		s.Must("passwd", "-d", "user222")
		s.eventually("the deletion is in conflict", machine.Patience, func() bool { return s.state("user222").State == "conflict" })
		if s.StoreHash("user222") != before {
			s.t.Error("the store has lost its password")
		}
		s.exits(0, "shadowsync", "sync", "user222", "--prefer", "store")
		if s.ShadowHash("user222") != before {
			s.t.Errorf("the OS holds %.5q", s.ShadowHash("user222"))
		}
	})
}

// TestMissingAccounts: accounts that only one side has, or neither (accounts from LDAP or sssd),
// are reported and not changed.
func TestMissingAccounts(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.AddUser("osonly", "Only-in-the-OS-1")
	s.MustShell(`sed -i 's/^accounts .*/accounts = ["admin", "user222", "monitor", "fromldap", "osonly"]/' /etc/shadowsync/shadowsync.toml && systemctl restart shadowsync.service`)
	missing := map[string]string{
		"monitor":  "the account is gone from the OS", // in the store only, as an account of the application itself
		"fromldap": "the account is gone from the OS",
		"osonly":   "the account is not in the credential store",
	}
	shadow, store := s.ReadFile("/etc/shadow"), s.ReadFile(machine.StorePath)

	s.sub("reported", func(s *stage) {
		s.eventually("all are seen", machine.Patience, func() bool { return s.state("osonly").State == "missing" })
		for name, reason := range missing {
			if a := s.state(name); a.State != "missing" || a.Reason == nil || *a.Reason != reason {
				s.t.Errorf("status of %s: %+v", name, a)
			}
		}
		s.exits(3, "shadowsync", "status", "--check")
		s.exits(3, "shadowsync", "sync")
		s.exits(3, "shadowsync", "sync", "--prefer", "store")
		s.exits(3, "shadowsync", "sync", "--prefer", "os")
	})
	s.sub("nothing is created", func(s *stage) {
		if now := s.ReadFile("/etc/shadow"); now != shadow {
			s.t.Errorf("/etc/shadow is\n%s\nwas\n%s", now, shadow)
		}
		if now := s.ReadFile(machine.StorePath); now != store {
			s.t.Errorf("the store is\n%s\nwas\n%s", now, store)
		}
		if strings.Contains(s.ReadFile("/etc/passwd"), "fromldap") {
			s.t.Error("an account was created")
		}
	})
	s.sub("the others are kept in sync", func(s *stage) {
		s.persists("admin", "Beside-the-missing-2", "conductor's")
		if said := s.passwd("osonly", "Only-in-the-OS-2"); !strings.Contains(said, "NOT persisted") || !strings.Contains(said, "not in the credential store") {
			s.t.Errorf("passwd said %q", said)
		}
		if g := s.status().Guard; g != "off" {
			s.t.Errorf("guard %s", g)
		}
		s.restart()
		s.inStore("admin")
		s.opens("admin", "Beside-the-missing-2", "")
		s.opens("osonly", "Only-in-the-OS-2", "")
	})
	s.sub("deleted on the OS side", func(s *stage) {
		before := s.StoreHash("user222")
		s.Must("userdel", "user222")
		s.eventually("it is missing", machine.Patience, func() bool { return s.state("user222").State == "missing" })
		s.restart()
		if s.StoreHash("user222") != before || strings.Contains(s.ReadFile("/etc/shadow"), "user222:") {
			s.t.Error("the account was deleted from the store, or came back to the OS")
		}
	})
}
