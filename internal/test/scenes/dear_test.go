package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// dearStore is mosquitto's password file; the broker itself does not run.
const dearStore = `[[application]]
name     = "broker"
unit     = "mosquitto.service"
accounts = ["admin"]

[application.store]
driver = "passwdfile"
path   = "/etc/mosquitto/passwd"
format = "mosquitto"
`

var (
	dearSalt   = strings.Repeat("A", 16)
	dearDigest = strings.Repeat("A", 86) + "=="
)

// dearValues are present values whose cost a new one would follow, and how a new one begins.
var dearValues = []struct{ name, value, begins string }{
	{"within the limits", "$7$2000000$" + dearSalt + "$" + dearDigest, "$7$2000000$"},
	{"beyond them", "$7$999999999$" + dearSalt + "$" + dearDigest, "$7$10000$"},
	{"much memory", "$argon2id$v=19$m=262144,t=3,p=1$" + dearSalt + "$" + dearDigest[:86], "$argon2id$v=19$m=262144,t=3,p=1$"},
	{"too much memory", "$argon2id$v=19$m=4194304,t=1,p=1$" + dearSalt + "$" + dearDigest[:86], "$7$10000$"},
}

// TestDearValues: a store's values ask for seconds, hours and gigabytes. passwd does not wait for them, the
// daemon does not pay for them with its own memory, and the new password reaches the store.
func TestDearValues(t *testing.T) {
	t.Parallel()
	s := &stage{T: machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps}), t: t}
	s.AddUser("admin", machine.OldPassword)
	s.MustShell("mkdir -p /etc/shadowsync && chmod 700 /etc/shadowsync")
	s.WriteFile("/etc/shadowsync/shadowsync.toml", dearStore, 0o600)
	holds := func(value string) {
		s.WriteFile("/etc/mosquitto/passwd", "admin:"+value+"\n", 0o640)
	}
	holds(dearValues[0].value)
	s.InstallShadowsync()
	s.Must("shadowsync", "setup", "--first", "os")
	mosquitto, err := scheme.Find("mosquitto")
	if err != nil {
		t.Fatal(err)
	}
	held := func() string {
		return strings.TrimSuffix(strings.TrimPrefix(s.ReadFile("/etc/mosquitto/passwd"), "admin:"), "\n")
	}
	// arrives waits until the store has another value than before: one of the password.
	arrives := func(s *stage, before, password, begins string) {
		s.t.Helper()
		s.WaitFor("the store has the new password", 2*time.Minute, func() bool {
			value := held()
			if value == before {
				return false
			}
			ok, err := mosquitto.Verify(value, []byte(password), "admin")
			if !ok || err != nil || !strings.HasPrefix(value, begins) {
				s.t.Fatalf("the store holds %q: %v, %v", value, ok, err)
			}
			return true
		})
		s.WaitFor("it is in sync", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 })
	}
	for i, dear := range dearValues {
		s.sub(dear.name, func(s *stage) {
			holds(dear.value)
			password := "Dear-password-" + string(rune('1'+i))
			said := ""
			s.within("passwd", 3*time.Second, func() { said = s.passwd("admin", password) })
			s.t.Logf("passwd said %q", said)
			arrives(s, dear.value, password, dear.begins)
		})
		s.sub(dear.name+", at a login", func(s *stage) { // the value is looked at, too, before another one is made
			before, password := held(), "Dear-password-login-"+string(rune('1'+i))
			s.Must("usermod", "-p", s.yescrypted(password), "admin")
			s.WaitFor("a login is awaited", machine.Patience, func() bool { return s.stateIn("broker", "admin") == "needs-login" })
			if !s.Login("admin", password) {
				s.t.Fatal("admin cannot log in")
			}
			arrives(s, before, password, dear.begins)
		})
	}
	if n := strings.TrimSpace(s.Must("systemctl", "show", "-P", "NRestarts", "shadowsync.service")); n != "0" {
		t.Errorf("the daemon was restarted %s times", n)
	}
}
