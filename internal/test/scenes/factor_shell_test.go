package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const askForCode = "Verification code:"

// next is the next recovery code. Unlike those of the app they need no waiting for the next one.
func (a *authenticator) next() string {
	a.s.t.Helper()
	if len(a.recovery) == 0 {
		a.s.t.Fatal("no recovery code is left")
	}
	code := a.recovery[0]
	a.recovery = a.recovery[1:]
	return code
}

// unbroken is a text without its line breaks, which depend on the width of the terminal.
func unbroken(text string) string { return strings.Join(strings.Fields(text), " ") }

// enrolsInShell plays enrol 2fa from its question for the password on.
func (s *stage) enrolsInShell(d *machine.Dialogue, password, ticket string) *authenticator {
	s.t.Helper()
	d.Answer("Enter your current password:", password)
	if ticket != "" {
		d.Answer("Enrolment code:", ticket)
	}
	return s.confirmsInShell(d)
}

// confirmsInShell plays the rest, from the setup key on.
func (s *stage) confirmsInShell(d *machine.Dialogue) *authenticator {
	s.t.Helper()
	d.Expect(askForCode, machine.Patience)
	key := setupKeyShown.FindStringSubmatch(d.Transcript())
	if key == nil {
		s.t.Fatalf("no setup key is shown: %s", d)
	}
	a := &authenticator{s: s, key: strings.ReplaceAll(key[1], " ", "")}
	d.Send(a.code(0) + "\n")
	d.Expect("Second factor enrolled\r\n", machine.Patience)
	d.Expect("@node1.conductor", machine.Patience)
	a.recovery = recoveryCodeShown.FindAllString(d.Transcript(), -1)
	if len(a.recovery) != 10 {
		s.t.Fatalf("%d recovery codes are shown: %s", len(a.recovery), d)
	}
	a.shown = append(append(a.shown, a.key, strings.TrimSpace(key[1])), a.recovery...)
	return a
}

// TestSecondFactorInShell: an operator enrols a second factor in pcli. From then on each new shell and
// set password ask for a code, which is good for one use. An administrator resets it with a code of
// their own, and whoever knows only the password does not get further.
func TestSecondFactorInShell(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	first := s.SSH("user222", oldPassword)
	first.Expect("user222@node1.conductor> ", machine.Patience)
	first.Send("enrol 2fa\n")
	user := s.enrolsInShell(first, oldPassword, "")
	used := user.shown[0]
	if shown := unbroken(asked(first, "show user")); !strings.Contains(shown, "Second Factor: enrolled 20") || !strings.Contains(shown, "10 recovery codes left") {
		t.Errorf("show user shows\n%s", shown)
	}

	second := s.SSH("user222", oldPassword)
	second.Answer(askForCode, used)
	second.Expect("% Error: the code was used already", machine.Patience)
	second.Answer(askForCode, "000000")
	second.Expect("% Error: ", machine.Patience)
	second.Answer(askForCode, user.code(30))
	second.Expect("user222@node1.conductor> ", machine.Patience)
	if r := s.As("user222").Run("pcli", "-c", "show user"); r.Code != 2 || strings.Contains(r.Stdout, "Information") {
		t.Errorf("without anybody to ask: %s", r)
	}
	if r := s.As("user222").Input("000000\n000000\n000000\n").Run("pcli", "--stdin", "-c", "show user"); r.Code != 7 || strings.Contains(r.Stdout, "Information") {
		t.Errorf("with wrong codes: %s", r)
	}

	s.Must("systemctl", "restart", "shadowsync.service")
	second.Send("show user\n")
	second.Answer(askForCode, user.next())
	second.Expect("Second Factor: enrolled 20", machine.Patience)
	second.Expect("user222@node1.conductor> ", machine.Patience)

	second.Send("set password\n")
	second.Answer("Enter your current password:", oldPassword)
	second.Answer(askForCode, user.next())
	second.Answer("Enter a new password:", newPassword)
	second.Answer("Confirm:", newPassword)
	second.Expect("Password updated successfully", machine.Patience)
	first.Ended(machine.Patience)
	second.Ended(machine.Patience)
	s.same("user222")
	s.resetsByAdmin(s.movesInShell(user))
}

// movesInShell: the user moves to another authenticator with a code of the present one. The present one opens shells
// until that is done, and none afterwards.
func (s *stage) movesInShell(old *authenticator) *authenticator {
	s.t.Helper()
	d := s.SSH("user222", newPassword)
	d.Answer(askForCode, old.next())
	d.Answer("user222@node1.conductor> ", "enrol 2fa")
	d.Answer("Enter your current password:", newPassword)
	d.Answer(askForCode, old.next())
	d.Expect("The old authenticator works until this is done.\r\nSetup key: ", machine.Patience)
	meanwhile := s.SSH("user222", newPassword)
	meanwhile.Answer(askForCode, old.next())
	meanwhile.Expect("user222@node1.conductor> ", machine.Patience)
	other := s.confirmsInShell(d)
	if other.key == old.key {
		s.t.Error("the secret is the same as before")
	}
	meanwhile.Send("show user\n")
	meanwhile.Answer(askForCode, old.next())
	meanwhile.Expect("% Error: the code is not right", machine.Patience)
	meanwhile.Answer(askForCode, other.next())
	meanwhile.Expect("Second Factor: enrolled 20", machine.Patience)
	return other
}

// resetsByAdmin: an administrator resets the user's factor, and the user enrols another one.
func (s *stage) resetsByAdmin(old *authenticator) {
	s.t.Helper()
	open := s.SSH("user222", newPassword)
	open.Answer(askForCode, old.next())
	open.Expect("user222@node1.conductor> ", machine.Patience)

	admin := s.SSH("admin", oldPassword)
	admin.Answer("admin@node1.conductor# ", "reset 2fa force user222")
	admin.Answer(askForCode, "000000")
	admin.Expect("not permitted without a second factor of your own", machine.Patience)
	admin.Send("enrol 2fa\n")
	own := s.enrolsInShell(admin, oldPassword, "")
	admin.Send("reset 2fa local user222\n")
	admin.Answer("Reset the second factor of 'user222', and end its sessions? [y/N]: ", "y")
	admin.Answer(askForCode, own.next())
	admin.Expect("Second factor of user `user222` reset", machine.Patience)
	admin.Expect("# ", machine.Patience)
	ticket := enrolmentCode.FindStringSubmatch(admin.Transcript())
	if ticket == nil {
		s.t.Fatalf("no enrolment code is shown:\n%s", admin.Transcript())
	}
	open.Ended(machine.Patience)

	thief := s.SSH("user222", newPassword)
	thief.Expect("Your second factor was reset.", machine.Patience)
	thief.Answer("Enter your current password:", newPassword)
	for _, guess := range []string{old.next(), old.code(0), "bcdf-bcdf-bcdf-bcdf-bcdf"} {
		thief.Answer("Enrolment code:", guess)
		thief.Expect("% Error: ", machine.Patience)
	}
	if code := thief.Ended(machine.Patience); code != 7 {
		s.t.Errorf("the thief's shell ends with %d", code)
	}
	fresh := s.SSH("user222", newPassword)
	anew := s.enrolsInShell(fresh, newPassword, ticket[1])
	if anew.key == old.key {
		s.t.Error("the secret is the same as before")
	}
	again := s.SSH("user222", newPassword)
	again.Answer(askForCode, old.next())
	again.Expect("% Error: the code is not right", machine.Patience)
	again.Answer(askForCode, anew.next())
	again.Expect("user222@node1.conductor> ", machine.Patience)
	s.keepsNoCode(old, anew, own)
}

// keepsNoCode: the audit names what was done and by whom, and neither it nor the journal has a secret.
func (s *stage) keepsNoCode(apps ...*authenticator) {
	s.t.Helper()
	audit, journal := s.Must("shadowsync", "audit"), s.Must("journalctl", "--no-pager", "-o", "verbose", "-a")
	state := s.MustShell("find /var/lib/shadowsync -type f -exec cat {} +")
	for _, want := range []string{"enrolled", "code-taken", "code-refused", "factor-reset"} {
		if !strings.Contains(audit, want) {
			s.t.Errorf("the audit has no %s:\n%s", want, audit)
		}
	}
	for _, a := range apps {
		for _, hidden := range a.shown {
			if len(hidden) == 6 { // six digits may stand there by chance
				continue
			}
			if strings.Contains(audit, hidden) || strings.Contains(journal, hidden) || strings.Contains(state, hidden) {
				s.t.Errorf("%s is in the audit, the journal or the state", hidden)
			}
		}
	}
}
