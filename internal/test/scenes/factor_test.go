package scenes

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// authenticator is a person's app: oathtool computes its codes.
type authenticator struct {
	s        *stage
	key      string   // base32
	enrolled string   // the code of the enrolment
	recovery []string // the codes that the person wrote down
	shown    []string // all that may be kept nowhere
}

var (
	setupKeyShown     = regexp.MustCompile(`Setup key: ([A-Z2-7 ]+)`)
	recoveryCodeShown = regexp.MustCompile(`\b[a-z]{6}-[a-z]{6}-[a-z]{6}\b`)
	enrolmentCode     = regexp.MustCompile("enrolment code `([a-z-]+)`")
)

// code is the code so many seconds from now.
func (a *authenticator) code(later int) string {
	a.s.t.Helper()
	out, err := exec.CommandContext(a.s.t.Context(), "oathtool", "--totp", "--base32", "--now", fmt.Sprintf("now + %d seconds", later), a.key).CombinedOutput()
	if err != nil {
		a.s.t.Fatalf("oathtool: %v: %s", err, out)
	}
	code := strings.TrimSpace(string(out))
	a.shown = append(a.shown, code)
	return code
}

// enrols enrols an account at a terminal. The first answer is a wrong code.
func (s *stage) enrols(account string, options ...string) *authenticator {
	s.t.Helper()
	a := &authenticator{s: s}
	d := s.Terminal(append([]string{"shadowsync", "user", "enrol", "2fa", account}, options...)...)
	d.Expect("Code that the app shows now:", machine.Patience)
	if !d.Silent() {
		s.t.Error("the code is echoed")
	}
	key := setupKeyShown.FindStringSubmatch(d.Transcript())
	if key == nil {
		s.t.Fatalf("no setup key: %s", d)
	}
	a.key = strings.ReplaceAll(key[1], " ", "")
	a.shown = append(a.shown, a.key, strings.TrimSpace(key[1]))
	d.Send("12345\n")
	a.enrolled = a.code(0)
	d.Answer("Code that the app shows now:", a.enrolled)
	if status := d.Ended(machine.Patience); status != 0 {
		s.t.Fatalf("status %d: %s", status, d)
	}
	a.recovery = recoveryCodeShown.FindAllString(d.Transcript(), -1)
	if len(a.recovery) != 10 {
		s.t.Fatalf("%d recovery codes: %s", len(a.recovery), d)
	}
	a.shown = append(a.shown, a.recovery...)
	return a
}

// checks reports how a check of a code ends.
func (s *stage) checks(account, code string) int {
	s.t.Helper()
	return s.Input(code+"\n").Run("shadowsync", "user", "check", "2fa", account, "--stdin").Code
}

// refuses asserts that a code is not taken.
func (s *stage) refuses(what, account, code string) {
	s.t.Helper()
	if status := s.checks(account, code); status == 0 {
		s.t.Errorf("%s is taken", what)
	}
}

// secondFactor is what user show tells.
func (s *stage) secondFactor(account string) string {
	s.t.Helper()
	out := s.Must("shadowsync", "user", "show", account, "--json")
	state := regexp.MustCompile(`"second_factor": "(\w+)",\s+"recovery_codes_left": (\d+)`).FindStringSubmatch(out)
	if state == nil {
		s.t.Fatalf("user show tells of no second factor: %s", out)
	}
	return state[1] + " " + state[2]
}

// TestSecondFactors: an account is enrolled with the codes of another program, each code is taken once,
// and a lost factor is reset.
func TestSecondFactors(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	a := s.enrols("admin")
	if got := s.secondFactor("admin") + ", " + s.secondFactor("user222"); got != "enrolled 10, none 0" {
		t.Errorf("after the enrolment: %s", got)
	}
	s.refuses("the code of the enrolment", "admin", a.enrolled)
	s.refuses("a code of somebody without a factor", "user222", a.code(0))
	s.sub("at once", func(s *stage) { s.takesOneOfFifty(a) })
	if status := s.checks("admin", a.recovery[0]); status != 0 {
		t.Errorf("a recovery code: status %d", status)
	}
	s.refuses("a recovery code, again,", "admin", a.recovery[0])
	s.Reboot()
	if got := s.secondFactor("admin"); got != "enrolled 9" {
		t.Errorf("after a reboot: %s", got)
	}
	s.sub("reset", func(s *stage) { s.resetsFactor(a) })
	s.sub("lost key", func(s *stage) { s.losesKey(a) })
	s.sub("picture", func(s *stage) { s.picturesSecret(a) })
	s.sub("nowhere", func(s *stage) { s.keepsNone(a.shown) })
}

// picturesSecret: another program reads the setup key from the QR code in a file, which only root can read.
func (s *stage) picturesSecret(a *authenticator) {
	const file = "/root/code.png"
	pictured := s.enrols("user222", "--qr", file)
	a.shown = append(a.shown, pictured.shown...)
	if mode := s.Must("stat", "-c", "%a %U", file); mode != "600 root\n" {
		s.t.Errorf("the file has %s", mode)
	}
	out, err := exec.CommandContext(s.t.Context(), "zbarimg", "--quiet", "--raw", filepath.Join(s.Root(), file)).Output()
	if err != nil || !strings.Contains(string(out), "secret="+pictured.key+"&") || !strings.HasPrefix(string(out), "otpauth://totp/") {
		s.t.Errorf("zbarimg reads %q, %v", out, err)
	}
}

// takesOneOfFifty: of fifty processes that check one code at once, one succeeds.
func (s *stage) takesOneOfFifty(a *authenticator) {
	s.WriteFile("/root/code", a.code(30)+"\n", 0o600)
	out := s.Within(2 * machine.Patience).MustShell(`for i in $(seq 50); do
  ( shadowsync user check 2fa admin --stdin </root/code >/dev/null 2>&1; echo $? ) &
done; wait; rm /root/code`)
	results := strings.Fields(out)
	taken := 0
	for _, status := range results {
		switch status {
		case "0":
			taken++
		case "7", "9":
		default:
			s.t.Errorf("a check ends with %s", status)
		}
	}
	if taken != 1 || len(results) != 50 {
		s.t.Errorf("taken %d times: %q", taken, results)
	}
}

// resetsFactor: a reset drops all of the factor, ends the account's sessions, and leaves its password.
func (s *stage) resetsFactor(a *authenticator) {
	login := s.SSH("admin", machine.OldPassword)
	login.Answer("$ ", "echo here-$((40+2))")
	login.Expect("here-42", machine.Patience)
	out := s.Must("shadowsync", "user", "reset", "2fa", "local", "admin", "user222")
	code := enrolmentCode.FindStringSubmatch(out)
	if code == nil || !strings.Contains(out, "User `user222` has no second factor: nothing was reset\n") {
		s.t.Fatalf("it says %s", out)
	}
	a.shown = append(a.shown, code[1])
	login.Ended(machine.Patience)
	if got := s.secondFactor("admin"); got != "none 0" {
		s.t.Errorf("after the reset: %s", got)
	}
	s.refuses("a code of the old secret", "admin", a.code(0))
	s.refuses("an old recovery code", "admin", a.recovery[1])
	if !s.Login("admin", machine.OldPassword) {
		s.t.Error("the password is gone too")
	}
	if r := s.Run("shadowsync", "user", "reset", "2fa", "nis", "admin"); r.Code != 2 {
		s.t.Errorf("an unknown realm: %s", r)
	}
	if r := s.Run("shadowsync", "user", "reset", "2fa", "ldap", "ghost"); r.Code != 5 {
		s.t.Errorf("an unknown account: %s", r)
	}
}

// losesKey: without the key no code of an authenticator is taken, and no new key hides that.
func (s *stage) losesKey(a *authenticator) {
	lost := s.enrols("admin")
	a.shown = append(a.shown, lost.shown...)
	s.Must("mv", "/var/lib/shadowsync/factor.key", "/root/factor.key")
	s.refuses("a code without the key", "admin", lost.code(30))
	if said := s.Run("shadowsync", "doctor").Stdout; !strings.Contains(said, "key lost, so no code of an authenticator of admin can be checked") || !strings.Contains(said, "fix it with: shadowsync user reset 2fa --all") {
		s.t.Errorf("doctor says %s", said)
	}
	if r := s.Input("123456\n").Run("shadowsync", "user", "enrol", "2fa", "user222", "--stdin"); r.Code == 0 || strings.Contains(r.Stdout, "Setup key") {
		s.t.Errorf("enrolled with a key that is not there: %s", r)
	}
	if status := s.checks("admin", lost.recovery[0]); status != 0 {
		s.t.Errorf("a recovery code: status %d", status)
	}
	s.Must("mv", "/root/factor.key", "/var/lib/shadowsync/factor.key")
	if status := s.checks("admin", lost.code(30)); status != 0 {
		s.t.Errorf("with the key put back: status %d", status)
	}
	s.Must("rm", "/var/lib/shadowsync/factor.key")
	if out := s.Must("shadowsync", "user", "reset", "2fa", "--all"); strings.Count(out, "Second factor of user `admin` reset") != 1 {
		s.t.Errorf("it says %s", out)
	}
	a.shown = append(a.shown, s.enrols("admin").shown...)
}

// keepsNone: no secret and no code is in the journal with its metadata, in the audit, in an argument list,
// an environment, or in what shadowsync keeps. A code of six digits alone may be there by chance, as a part of a number.
func (s *stage) keepsNone(shown []string) {
	const planted = "Planted-by-the-test"
	s.WriteFile("/var/lib/shadowsync/planted", planted, 0o600)
	s.Must("journalctl", "--sync")
	kept := s.MustShell(`journalctl --output=export --all; shadowsync audit --json
find /var/lib/shadowsync /run/shadowsync /var/log /etc/shadowsync -type f ! -path '*/journal/*' -exec cat {} +
cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null || true`)
	if !strings.Contains(kept, planted) || !strings.Contains(kept, "code-taken") || !strings.Contains(kept, "/usr/sbin/shadowsync\x00daemon") || len(shown) < 15 {
		s.t.Fatalf("the search is blind: %d bytes, %d codes", len(kept), len(shown))
	}
	for _, text := range shown {
		if regexp.MustCompile(`(?:^|[^0-9A-Za-z])` + regexp.QuoteMeta(text) + `(?:$|[^0-9A-Za-z])`).MatchString(kept) {
			s.t.Errorf("%q is kept", text)
		}
	}
}

// TestKilledDuringASecondFactor: kill -9 at any moment of an enrolment or a reset leaves an account that
// is usable, or that a reset mends.
func TestKilledDuringASecondFactor(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	const moments = 12
	for i := range moments {
		limit := fmt.Sprintf("0.%03d", 4*i+1)
		a := s.enrols("admin")
		s.Run("timeout", "--signal=KILL", limit, "shadowsync", "user", "reset", "2fa", "local", "admin")
		switch got := s.secondFactor("admin"); got {
		case "enrolled 10":
			if status := s.checks("admin", a.recovery[0]); status != 0 {
				t.Errorf("killed after %s s, not reset: a recovery code ends with %d", limit, status)
			}
		case "none 0":
			s.refuses("a recovery code after a reset that was killed", "admin", a.recovery[0])
		default:
			t.Errorf("killed after %s s, the factor is %s", limit, got)
		}
		s.Must("shadowsync", "user", "reset", "2fa", "local", "admin")

		s.Input("123456\n").Run("timeout", "--signal=KILL", limit, "shadowsync", "user", "enrol", "2fa", "admin", "--stdin")
		if got := s.secondFactor("admin"); got != "none 0" && got != "pending 0" {
			t.Errorf("killed after %s s of an enrolment, the factor is %s", limit, got)
		}
		s.refuses("a code while nothing is enrolled", "admin", "123456")
		if !s.Login("admin", machine.OldPassword) {
			t.Errorf("killed after %s s, the password does not log in", limit)
		}
	}
	if list := s.ReadFile("/var/lib/shadowsync/enrolled"); list != fmt.Sprintf("admin\tlocal\tenrol\t%s\n", strings.TrimSpace(s.Must("id", "-u", "admin"))) {
		t.Errorf("the list of who must show a code is %q", list)
	}
}

// TestKilledDuringAConfirmation: kill -9 of the command at any moment of an enrolment with a right code leaves an
// account that is enrolled by it, or not at all.
func TestKilledDuringAConfirmation(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	a := &authenticator{s: s, key: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}
	s.WriteFile("/root/imported", a.key+"\n\" TOTP_AUTH\n", 0o600)
	ends := map[string]int{}
	for i := range 12 {
		limit := fmt.Sprintf("0.%03d", 4*i+1)
		code := a.code(0)
		s.Input(code+"\n").Run("timeout", "--signal=KILL", limit, "shadowsync", "user", "enrol", "2fa", "admin", "--stdin", "--import", "/root/imported")
		state := s.secondFactor("admin")
		ends[state]++
		switch state {
		case "enrolled 10":
			s.refuses("the code that confirmed", "admin", code)
			if status := s.checks("admin", a.code(30)); status != 0 {
				t.Errorf("killed after %s s, enrolled: the next code ends with %d", limit, status)
			}
		case "none 0", "pending 0":
			s.refuses("a code while nothing is enrolled", "admin", code)
		default:
			t.Errorf("killed after %s s, the factor is %s", limit, state)
		}
		s.Must("shadowsync", "user", "reset", "2fa", "local", "admin")
	}
	t.Logf("it ended as %v", ends)
}

// TestKilledWhileLost: kill -9 of the daemon at any moment of the way back by mail leaves the present
// authenticator, or the new one, usable, and the way goes on in a later login.
func TestKilledWhileLost(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.MustShell(mailServer)
	a := s.enrols("user222")
	s.Must("shadowsync", "user", "set", "mail", "user222", "anna@example.net")
	killed := 0
	back := func() {
		killed++
		s.eventually("the daemon is back", machine.Patience, func() bool {
			return s.Run("sh", "-c", fmt.Sprintf("test $(systemctl show -P NRestarts shadowsync.service) = %d && systemctl is-active --quiet shadowsync.service", killed)).Code == 0
		})
	}
	for i := range 6 {
		s.MustShell("rm -f /var/sink/*")
		d := s.SSH("user222", oldPassword)
		d.Answer(askOr, "lost")
		d.Answer("Enter your current password:", oldPassword)
		d.Expect("Code from the mail:", machine.Patience)
		sent := s.mailedCode()
		s.MustShell(fmt.Sprintf("( sleep 0.%03d; systemctl kill --signal=KILL shadowsync.service ) >/dev/null 2>&1 &", 3*i))
		d.Send(sent + "\n")
		back()
		if status := s.checks("user222", a.next()); status != 0 {
			t.Errorf("killed %d ms after the mailed code: a recovery code ends with %d", 3*i, status)
		}
		s.Must("shadowsync", "user", "set", "mail", "user222", "anna@example.net") // voids a code that is still out
	}
	s.MustShell("rm -f /var/sink/*")
	d := s.SSH("user222", oldPassword)
	d.Answer(askOr, "lost")
	d.Answer("Enter your current password:", oldPassword)
	d.Expect("Code from the mail:", machine.Patience)
	s.MustShell("systemctl kill --signal=KILL shadowsync.service")
	back()
	later := s.SSH("user222", oldPassword)
	later.Answer(askOr, s.mailedCode())
	fresh := s.enrolsInShell(later, oldPassword, "")
	s.refuses("a recovery code of before", "user222", a.next())
	if status := s.checks("user222", fresh.next()); status != 0 {
		t.Errorf("the new factor ends with %d", status)
	}
}
