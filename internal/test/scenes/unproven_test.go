package scenes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// ownFile is a second store of the appliance, with hashes of mosquitto's scheme.
const ownFile = "/srv/mqtt/passwd"

// costlyRounds make a hash that takes longer than passwd waits.
const costlyRounds = 4_000_000

// ownHash is what the application makes of a password.
func ownHash(t *testing.T, password string, cost int) string {
	t.Helper()
	value, err := proof.Target{Scheme: "mosquitto", Cost: cost}.Hash([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// ownValue is the account's value in the store.
func (s *stage) ownValue(account string) string {
	s.t.Helper()
	for line := range strings.Lines(s.ReadFile(ownFile)) {
		if value, of := strings.CutPrefix(line, account+":"); of {
			return strings.TrimSpace(value)
		}
	}
	s.t.Fatalf("%s has no %s", ownFile, account)
	return ""
}

// replaceOwn is the application, which replaces its own hash of an account.
func (s *stage) replaceOwn(account, value string) {
	s.t.Helper()
	text := strings.Replace(s.ReadFile(ownFile), account+":"+s.ownValue(account), account+":"+value, 1)
	s.WriteFile(ownFile+".new", text, 0o644)
	s.Must("mv", ownFile+".new", ownFile)
}

// ownIs waits for the account's state in that store.
func (s *stage) ownIs(account, state string) {
	s.t.Helper()
	s.eventually(account+" is "+state, machine.Patience, func() bool { return s.stateIn("conductor.mqtt", account) == state })
}

// ownOpens asserts the password of the account's value.
func (s *stage) ownOpens(account, password string) {
	s.t.Helper()
	of, err := scheme.Find("mosquitto")
	if err != nil {
		s.t.Fatal(err)
	}
	if ok, err := of.Verify(s.ownValue(account), []byte(password), account); !ok || err != nil {
		s.t.Errorf("the value %.20q is not of %q: %v", s.ownValue(account), password, err)
	}
}

// TestHashesOfTheApplicationsOwn: a hash that the application replaced is unproven until a login, which
// shows whether it is of the same password.
func TestHashesOfTheApplicationsOwn(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Bookworm)
	m.MustShell("mkdir -p /srv/mqtt")
	m.WriteFile(ownFile, fmt.Sprintf("# by hand\nadmin:%s\nguest:%s\nuser222:%s\n",
		ownHash(t, "first-velvet", 1000), ownHash(t, "guest", 1000), ownHash(t, "first-velvet", costlyRounds)), 0o644)
	s := setOn(t, m, machine.Appliance{},
		"[[application]]\n", "[[application]]\nchanged = \"lock\"\n",
		"[application.store]", "[[application.store]]",
		"password = \"password\"\n", "password = \"password\"\n\n[[application.store]]\nstore_name = \"mqtt\"\ndriver = \"passwdfile\"\nformat = \"mosquitto\"\npath = \""+ownFile+"\"\n")
	s.ownIs("admin", "needs-login") // setup --first os: only a clear text can bring it there
	s.scene("passwd", func(s *stage) {
		s.persists("admin", "Own-hash-velvet-1", "conductor's and conductor.mqtt's")
		s.ownOpens("admin", "Own-hash-velvet-1")
	})
	s.scene("pcli", func(s *stage) {
		said := s.As("admin").Input("Own-hash-velvet-1\nOwn-hash-velvet-4\nOwn-hash-velvet-4\n").Must("pcli", "--stdin", "-c", "set password")
		s.says(said, "Password updated successfully")
		s.ownOpens("admin", "Own-hash-velvet-4")
		s.passwd("admin", "Own-hash-velvet-1")
	})
	s.scene("a hash that takes long", func(s *stage) { s.ownTakesLong() })
	s.scene("the same password", func(s *stage) { s.ownFits() })
	s.scene("another password", func(s *stage) { s.ownDiffers() })
}

func (s *stage) ownTakesLong() {
	s.says(s.passwd("user222", "Own-hash-velvet-2"), "user222: queued (the hash for conductor.mqtt takes longer)")
	s.ownIs("user222", "in-sync")
	s.ownOpens("user222", "Own-hash-velvet-2")
	if value := s.ownValue("user222"); !strings.HasPrefix(value, fmt.Sprintf("$7$%d$", costlyRounds)) {
		s.t.Errorf("the cost is not that of before: %.20q", value)
	}
	if log := s.MustShell("journalctl --no-pager -u 'shadowsync-helper-hash*'"); !strings.Contains(log, "Hash of a new password") {
		s.t.Errorf("no helper made it: %s", log)
	}
}

func (s *stage) ownFits() {
	for i := range 3 {
		s.replaceOwn("admin", ownHash(s.t, "Own-hash-velvet-1", 2000+i))
	}
	value := s.ownValue("admin")
	s.ownIs("admin", "unproven")
	s.Must("shadowsync", "status", "--check")
	s.says(s.ReadFile("/run/shadowsync/managed"), "admin\t"+machine.ApplianceUnit+"\tlogin\n")
	if !s.Login("admin", "Own-hash-velvet-1") {
		s.t.Error("admin cannot log in")
	}
	s.ownIs("admin", "in-sync")
	if s.ownValue("admin") != value {
		s.t.Error("the hash was replaced, although it is of the same password")
	}
}

func (s *stage) ownDiffers() {
	s.replaceOwn("admin", ownHash(s.t, "set-in-the-application", 1000))
	s.ownIs("admin", "unproven")
	s.Must("shadowsync", "status", "--check")
	s.Login("admin", "Own-hash-velvet-1")
	s.ownIs("admin", "changed")
	s.eventually("admin is locked", machine.Patience, func() bool { return strings.HasPrefix(s.ShadowHash("admin"), "!") })
	s.exits(3, "shadowsync", "status", "--check")
	s.says(s.Must("shadowsync", "audit", "--user", "admin"), "the password was changed in the application")
	s.ownOpens("admin", "set-in-the-application")
	s.Must("shadowsync", "user", "unlock", "admin")
	s.says(s.Must("shadowsync", "status"), "shadowsync user set password admin")
	s.Input("Own-hash-velvet-3\n").Must("shadowsync", "user", "set", "password", "admin", "--stdin")
	s.ownIs("admin", "in-sync")
	s.ownOpens("admin", "Own-hash-velvet-3")
	s.Must("shadowsync", "status", "--check")
	if text := s.ReadFile(ownFile); !strings.HasPrefix(text, "# by hand\n") || strings.Count(text, "\n") != 4 {
		s.t.Errorf("the file is %q", text)
	}
}
