package scenes

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/machine"
)

// canary is a clear text that nothing but a leak can bring to where it is found.
const canary = "Canary-7f3a-velvet-Zq"

// TestClearTextNeverRests: a store that cannot take the OS's hash gets its own,
// made from the clear text, which is in the proof worker meanwhile, and nowhere
// else, and afterwards nowhere.
func TestClearTextNeverRests(t *testing.T) {
	s := set(t, machine.Bookworm, machine.Appliance{}, `password = "password"`, "password = \"password\"\nformats  = [\"sha512crypt\"]")
	// It takes long enough to be caught at it.
	s.MustShell(`sed -i '/pam_unix.so/s/yescrypt/yescrypt rounds=8/' /etc/pam.d/common-password && grep -q 'rounds=8' /etc/pam.d/common-password`)
	m := s.insides()
	s.seesWhatIsPlanted(m)

	var said string
	m.flies("worker-proof", []string{"passwd admin"}, func() { said = s.passwd("admin", canary) })
	if !strings.Contains(said, "shadowsync: admin: persisted in conductor's credential store") && !strings.Contains(said, queued) { // the search may take longer than passwd waits
		t.Errorf("passwd said %q", said)
	}
	s.eventually("it is settled", machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
	s.askAgain()
	s.Input(canary+"\n").Must("shadowsync", "user", "set", "password", "user222", "--stdin")
	m.isNowhere()
	s.sub("set password of pcli", func(s *stage) { s.clearTextOfPcli(m) })
	s.sub("cores", func(s *stage) { s.noCores(m) })

	os, store := s.ShadowHash("admin"), s.StoreHash("admin")
	for side, hash := range map[string]string{"$y$": os, "$6$": store} {
		if ok, err := crypt.Verify(hash, []byte(canary)); err != nil || !ok || !strings.HasPrefix(hash, side) {
			t.Errorf("%.4q does not hold the password in %s: %v", hash, side, err)
		}
	}
	s.restart()
	s.opens("admin", canary, machine.OldPassword)
	s.needsLogin()
}

// clearTextOfPcli: it goes from the operator's shell to the PAM worker, and to nobody else.
func (s *stage) clearTextOfPcli(m *insides) {
	const before = "Before-pcli-velvet"
	s.Input(before+"\n").Must("shadowsync", "user", "set", "password", "user222", "--stdin")
	d := s.As("user222").Terminal("pcli")
	d.Answer("> ", "set password")
	d.Answer("Enter your current password:", before)
	d.Answer("Enter a new password:", canary)
	d.Expect("Confirm:", machine.Patience)
	m.flies("worker-pam", []string{"pcli"}, func() {
		d.Send(canary + "\n")
		d.Expect("Password updated successfully", machine.Patience)
	})
	d.Ended(machine.Patience)
	m.isNowhere()
}

// noCores: what is aborted in the middle of it leaves nothing, though the broker is
// told to leave a core where it may write.
func (s *stage) noCores(m *insides) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || bytes.ContainsAny(pattern[:1], "|/") {
		s.t.Skipf("the kernel, which is the host's, writes cores elsewhere: %q", pattern)
	}
	s.MustShell("cd /var/lib/shadowsync && (ulimit -c unlimited; PLANTED=" + canary + " sleep 60 & sleep 0.2; kill -ABRT $!; wait $!) || true")
	if found := strings.Join(m.find(), " "); !strings.Contains(found, "/var/lib/shadowsync/core") {
		s.t.Fatalf("the core of a planted process is not found, only %q", found)
	}
	s.MustShell("rm /var/lib/shadowsync/core*")
	s.WriteFile("/run/systemd/system/shadowsync.service.d/50-core.conf", "[Service]\nEnvironment=GOTRACEBACK=crash\nWorkingDirectory=/var/lib/shadowsync\n", 0o644)
	s.MustShell("systemctl daemon-reload && systemctl restart shadowsync.service")
	m.abort = true
	defer func() { m.abort = false }()
	m.flies("worker-proof", []string{"passwd admin"}, func() { s.passwd("admin", canary) })
	m.isNowhere()
	s.eventually("the broker was aborted", 10*time.Second, func() bool {
		return strings.Contains(s.Journal("--unit", "shadowsync.service"), "status=6/ABRT")
	})
	if left := s.MustShell("cd /var/lib/shadowsync && ls -d core* 2>/dev/null || true"); left != "" {
		s.t.Errorf("a core was written: %s", left)
	}
	s.MustShell("rm /run/systemd/system/shadowsync.service.d/50-core.conf && systemctl daemon-reload && systemctl restart shadowsync.service")
	s.disarm()
	s.passwd("admin", canary)
}

// seesWhatIsPlanted proves that the search is not blind.
func (s *stage) seesWhatIsPlanted(m *insides) {
	s.t.Helper()
	planted := s.Env("PLANTED="+canary).Start("sleep", "60")
	s.WriteFile("/var/lib/shadowsync/planted", "x"+canary, 0o600)
	s.MustShell("cp /var/lib/shadowsync/planted /run/planted")
	for _, want := range []string{"the memory of sleep", "environ of sleep", "/run/planted", "/var/lib/shadowsync/planted"} {
		s.eventually("the planted one is found in "+want, 10*time.Second, func() bool {
			return strings.Contains(strings.Join(m.find(), "\n"), want)
		})
	}
	if err := planted.Stop(); err != nil {
		s.t.Fatal(err)
	}
	s.MustShell("rm /var/lib/shadowsync/planted /run/planted")
	if left := m.find(); len(left) > 0 {
		s.t.Fatalf("found before the test: %q", left)
	}
}

// needsLogin: past PAM nobody has the clear text, and status says what that means.
func (s *stage) needsLogin() {
	s.t.Helper()
	before := s.StoreHash("user222")
	method, err := crypt.MethodOfSystem(s.Root())
	if err != nil {
		s.t.Fatal(err)
	}
	hash, err := method.Generate([]byte("Beyond-PAM-velvet"))
	if err != nil || !strings.HasPrefix(hash, "$y$") {
		s.t.Fatalf("no yescrypt hash: %.4q, %v", hash, err)
	}
	s.Must("usermod", "-p", hash, "user222")
	s.eventually("status says needs-login", 10*time.Second, func() bool { return s.state("user222").State == "needs-login" })
	if a := s.state("user222"); a.Reason == nil || !strings.Contains(*a.Reason, "the store takes another hash format") {
		s.t.Errorf("status gives no reason: %+v", a)
	}
	if s.StoreHash("user222") != before || s.ShadowHash("user222") != hash {
		s.t.Error("a side was changed")
	}
}
