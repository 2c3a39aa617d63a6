package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const embeddedPath = "/var/lib/shadowsync/credentials.db"

// embedded returns the edits of the configuration that select the embedded store, and then edits.
func embedded(edits ...string) []string {
	i := strings.Index(machine.Configuration, "[application.store]")
	return append([]string{machine.Configuration[i:], "[application.store]\ndriver = \"sqlite\"\n"}, edits...)
}

// known returns the hash that the application reads in its store.
func (s *stage) known(account string) string {
	s.t.Helper()
	for line := range strings.Lines(s.AskAppliance("list")) {
		if name, hash, _ := strings.Cut(strings.TrimSpace(line), " "); name == account {
			return hash
		}
	}
	s.t.Fatalf("the application knows no %s", account)
	return ""
}

// becomes waits until both sides hold the hash of a password.
func (s *stage) becomes(account, password string) {
	s.t.Helper()
	s.eventually("both sides hold "+password, machine.Patience, func() bool {
		return s.opensHash(s.ShadowHash(account), password) && s.known(account) == s.ShadowHash(account)
	})
}

// TestEmbeddedStore: an application without a user database of its own uses ours through the
// documented schema, and rewrites the OS from it at every start.
func TestEmbeddedStore(t *testing.T) {
	t.Parallel()
	edits := embedded(`accounts = ["admin", "user222"]`, "accounts = [\"admin\", \"user222\", \"boss\"]\nrules = {user222 = \"newest\"}")
	appliance := machine.Appliance{Embedded: embeddedPath, Accounts: []string{"admin", "user222", "boss"}}
	s := set(t, machine.Bookworm, appliance, edits...)

	s.sub("recovery", func(s *stage) {
		s.persists("admin", "Found-embedded-1", "conductor's")
		if s.known("admin") != s.ShadowHash("admin") {
			s.t.Error("persisted, and the application reads another hash")
		}
		s.restart()
		s.becomes("admin", "Found-embedded-1")
		s.Reboot()
		s.opens("admin", "Found-embedded-1", machine.OldPassword)
	})

	s.sub("must-change and ageing", func(s *stage) {
		s.MustShell("passwd -e admin; chage -m 2 -M 90 -W 10 -I 5 -E 2031-01-01 user222; passwd -l boss")
		query := "SELECT name, must_change, min_days, max_days, warn_days, inactive_days, expire_day FROM credential WHERE name = 'user222'"
		s.eventually("the store holds the ageing", machine.Patience, func() bool {
			return strings.TrimSpace(s.Must("sqlite3", "file:"+embeddedPath+"?mode=ro", query)) == "user222|0|2|90|10|5|22280"
		})
		for range 2 {
			s.restart()
		}
		s.Reboot()
		for account, fields := range map[string]map[int]string{
			"admin":   {3: "0"},
			"user222": {4: "2", 5: "90", 6: "10", 7: "5", 8: "22280"},
		} {
			for n, value := range fields {
				if got := s.field(account, n); got != value {
					s.t.Errorf("%s, field %d: %q, want %q", account, n, got, value)
				}
			}
		}
		if got := s.ShadowHash("boss"); !strings.HasPrefix(got, "!$") || s.known("boss") != got {
			s.t.Errorf("the lock of boss: %.5q in the OS, %.5q in the store", got, s.known("boss"))
		}
		s.MustShell("passwd -u boss")
		if s.persists("admin", "Found-embedded-2", "conductor's"); s.field("admin", 3) == "0" {
			s.t.Error("it must be changed at the next login")
		}
		s.exits(0, "shadowsync", "status", "--check")
	})

	s.sub("the tool's flags", (*stage).toolsFlags)

	s.sub("the application's own change", func(s *stage) {
		s.AskAppliance("set", "admin", s.hashed("Clicked-in-the-app-3"))
		s.becomes("admin", "Clicked-in-the-app-3")
		if a := s.state("admin"); a.LastChange == nil || a.LastChange.SeenBy != "store" {
			s.t.Errorf("status says %+v", a.LastChange)
		}
		s.restart()
		s.opens("admin", "Clicked-in-the-app-3", "")
	})

	s.sub("newest", func(s *stage) {
		s.Must("systemctl", "stop", "shadowsync.service")
		s.AskAppliance("set", "user222", s.hashed("Older-in-the-app-4"))
		s.passwd("user222", "Newer-in-the-OS-4")
		s.becomes("user222", "Newer-in-the-OS-4")
	})

	s.sub("a protected account", func(s *stage) {
		s.Must("usermod", "-aG", "sudo", "boss")
		before := s.ShadowHash("boss")
		s.AskAppliance("set", "boss", s.hashed("Smuggled-in-5"))
		s.eventually("the change is refused", machine.Patience, func() bool { return s.state("boss").State == "conflict" })
		if a := s.state("boss"); a.Reason == nil || !strings.Contains(*a.Reason, "member of sudo") {
			s.t.Errorf("status says %+v", a)
		}
		if said := s.Must("shadowsync", "status"); !strings.Contains(said, "sync boss --prefer os") || strings.Contains(said, "--prefer store") {
			s.t.Errorf("status offers what is refused:\n%s", said)
		}
		s.restart() // the application itself writes its value to the OS
		s.eventually("the OS side is put back", machine.Patience, func() bool { return s.ShadowHash("boss") == before })
		s.exits(4, "shadowsync", "sync", "boss", "--prefer", "store")
		s.exits(0, "shadowsync", "sync", "boss", "--prefer", "os")
		if s.ShadowHash("boss") != before || s.known("boss") != before {
			s.t.Error("the store has the OS's value no more")
		}
	})

	s.sub("a protected account of a trusted store", func(s *stage) {
		s.MustShell("sed -i 's/^unit .*/&\\ntrust_store = true/' /etc/shadowsync/shadowsync.toml && systemctl restart shadowsync.service")
		s.AskAppliance("set", "boss", s.hashed("Trusted-6"))
		s.becomes("boss", "Trusted-6")
	})
}

// toolsFlags: the tool writes expiry and must-change to the store's own fields, and the application
// writes these to the OS at each start.
func (s *stage) toolsFlags() {
	holds := func(what, wants string, verb ...string) {
		s.t.Helper()
		s.Must(append([]string{"shadowsync", "user"}, verb...)...)
		for _, when := range []string{"at once", "after a restart"} {
			row := s.Must("sqlite3", "file:"+embeddedPath+"?mode=ro", "SELECT must_change, max_days, coalesce(expire_day, '-') FROM credential WHERE name = 'user222'")
			must := "0"
			if s.field("user222", 3) == "0" {
				must = "1"
			}
			expire := s.field("user222", 8)
			if expire == "" {
				expire = "-"
			}
			if os := must + "|" + s.field("user222", 5) + "|" + expire; strings.TrimSpace(row) != wants || os != wants {
				s.t.Errorf("%s, %s: the store holds %q, the OS %q, want %q", what, when, row, os, wants)
			}
			s.restart()
		}
	}
	s.MustShell("chage -E -1 user222")
	s.Must("shadowsync", "sync")
	reset := []string{"reset", "password", "user222"}
	holds("expiry", "0|2|-", append(reset, "--expiry", "2")...)
	holds("must-change", "1|2|-", append(reset, "--must-change", "true")...)
	holds("neither", "1|2|-", reset...)
	holds("must-change false", "0|2|-", append(reset, "--must-change", "false")...)
	holds("both", "1|365|-", append(reset, "--expiry", "365", "--must-change", "true")...)
	holds("a new password", "0|365|-", append(reset, "--must-change", "false")...)
	holds("expire", "1|365|-", "expire", "password", "user222")
	holds("lock", "1|365|1", "lock", "user222")
	holds("unlock", "1|365|-", "unlock", "user222")
	password := s.reset("--must-change", "false")
	s.Must("shadowsync", "user", "expire", "password", "user222")
	s.restart()
	d := s.SSH("user222", password)
	d.Answer("urrent", password)
	d.Answer("ew password", "Chosen-embedded-7")
	d.Answer("etype", "Chosen-embedded-7")
	d.Ended(machine.Patience)
	s.becomes("user222", "Chosen-embedded-7")
	holds("the change at login, and a lock of the password", "0|365|-", "lock", "user222", "--password-only")
	s.Must("shadowsync", "user", "unlock", "user222")
	s.opens("user222", "Chosen-embedded-7", password)
}
