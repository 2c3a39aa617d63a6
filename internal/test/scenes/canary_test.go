package scenes

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// canary is a clear text that is so rare that only a leak can bring it to a place where it is found.
const canary = "Canary-7f3a-velvet-Zq"

// TestClearTextNeverRests: a store that cannot take the OS's hash gets its own hash, made from
// the clear text. Meanwhile only the proof worker holds the clear text, and afterwards it is
// nowhere.
func TestClearTextNeverRests(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{}, `password = "password"`, "password = \"password\"\nformats  = [\"sha512crypt\"]")
	// Hashing takes long enough for the search to catch the worker at it.
	s.MustShell(`sed -i '/pam_unix.so/s/yescrypt/yescrypt rounds=8/' /etc/pam.d/common-password && grep -q 'rounds=8' /etc/pam.d/common-password`)
	m := s.insides()
	s.seesWhatIsPlanted(m)

	var said string
	m.flies("worker-proof", []string{"passwd admin"}, func() { said = s.passwd("admin", canary) })
	// The search stops the worker, perhaps for longer than passwd or the broker waits for it. Then
	// the broker says that the hash is still missing, or takes longer; the worker makes it a moment later.
	if !strings.Contains(said, "shadowsync: admin: persisted in conductor's credential store") && !strings.Contains(said, queued) &&
		!strings.Contains(said, "shadowsync: admin: queued (the hash for conductor takes longer)") &&
		!strings.Contains(said, "shadowsync: admin: NOT persisted (needs-login: ") {
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

// TestClearTextOnTheCommandLine: a password on the command line, in the right place or in a wrong
// one, is stored nowhere: not in the audit, and not in what journald notes about a record's sender.
func TestClearTextOnTheCommandLine(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	m := s.insides()
	s.seesWhatIsPlanted(m)
	for _, words := range [][]string{
		{"shadowsync", "user", "set", "password", "user222", canary},
		{"shadowsync", "user", "set", "password", "user222", "--no-policy", canary},
		{"shadowsync", "user", "set", "password", "ghost", canary},
		{"shadowsync", "user", "set", "password", "user222", canary, canary},
		{"shadowsync", "user", "set", "password", "user222", "-" + canary},
		{"shadowsync", "user", "set", "password", "user222", "--" + canary},
		{"shadowsync", "user", "set", "password", canary, "Another-velvet-3"},
		{"shadowsync", "user", "set", "passwd", "user222", canary},
		{"shadowsync", "user", "reset", "password", "user222", canary},
		{"shadowsync", "user", "reset", "password", canary},
		{"shadowsync", "user", "expire", "password", "user222", "--must-change=" + canary},
		{"shadowsync", "set", "password", "user222", canary},
		{"shadowsync", canary},
	} {
		s.Run(words...)
	}
	for _, command := range []string{"set password " + canary, "edit user user222 password " + canary, "create user new password " + canary, canary} {
		s.As("user222").Run("pcli", "-c", command)
		s.As("user222").Input(command + "\n").Run("pcli")
	}
	s.Must("journalctl", "--sync")
	if out := s.MustShell("journalctl --output=export --all | grep -a -c '_CMDLINE=.*shadowsync user set password'; journalctl --output=export --all | grep -a -B30 -A30 " + canary[:8] + " | head -100 || true"); strings.Contains(out, canary) || strings.HasPrefix(out, "0") {
		s.t.Errorf("the journal has it, or was not searched: %s", out)
	}
	m.isNowhere()
}

// clearTextOfPcli: the clear text goes from the operator's shell to the PAM worker, and to no other process.
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

// noCores: a worker and a broker that are aborted while the worker holds the clear text leave no
// core, although Go is told to dump one and the broker may write to its working directory.
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
	s.eventually("the broker was aborted", machine.Patience, func() bool {
		return strings.Contains(s.Journal("--unit", "shadowsync.service"), "status=6/ABRT")
	})
	if left := s.MustShell("cd /var/lib/shadowsync && ls -d core* 2>/dev/null || true"); left != "" {
		s.t.Errorf("a core was written: %s", left)
	}
	s.MustShell("rm /run/systemd/system/shadowsync.service.d/50-core.conf && systemctl daemon-reload && systemctl restart shadowsync.service")
	s.disarm()
	s.passwd("admin", canary)
}

// seesWhatIsPlanted proves that the search works: it finds a canary that the test planted.
func (s *stage) seesWhatIsPlanted(m *insides) {
	s.t.Helper()
	planted := s.Env("PLANTED="+canary).Start("sleep", "60")
	s.WriteFile("/var/lib/shadowsync/planted", "x"+canary, 0o600)
	s.MustShell("cp /var/lib/shadowsync/planted /run/planted")
	for _, want := range []string{"the memory of sleep", "environ of sleep", "/run/planted", "/var/lib/shadowsync/planted"} {
		s.eventually("the planted one is found in "+want, machine.Patience, func() bool {
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

// needsLogin: after a change past PAM shadowsync does not know the clear text; status says what that means.
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
	s.eventually("status says needs-login", machine.Patience, func() bool { return s.state("user222").State == "needs-login" })
	if a := s.state("user222"); a.Reason == nil || !strings.Contains(*a.Reason, "the store takes another hash format") {
		s.t.Errorf("status gives no reason: %+v", a)
	}
	if s.StoreHash("user222") != before || s.ShadowHash("user222") != hash {
		s.t.Error("a side was changed")
	}
}
