package scenes

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// mailServer is a server on the machine that keeps each mail as a file in /var/sink, or answers RCPT
// with the content of /run/refuse.
const mailServer = `set -e
install -d /var/sink
cat >/usr/local/bin/sink <<'END'
#!/bin/sh
printf '220 sink\r\n'
while read -r line; do
  case $line in
  EHLO*) printf '250 sink\r\n' ;;
  RCPT*) if test -e /run/refuse; then printf '%s\r\n' "$(cat /run/refuse)"; else printf '250 ok\r\n'; fi ;;
  DATA*)
    printf '354 go\r\n'
    f=$(mktemp /var/sink/XXXXXX)
    while read -r l && test "$l" != ".$(printf '\r')"; do printf '%s\n' "$l" >>$f; done
    printf '250 taken\r\n' ;;
  QUIT*) printf '221 bye\r\n'; exit ;;
  *) printf '250 ok\r\n' ;;
  esac
done
END
chmod 755 /usr/local/bin/sink
cat >/etc/systemd/system/sink.socket <<'END'
[Socket]
ListenStream=127.0.0.1:25
Accept=yes
END
cat >/etc/systemd/system/sink@.service <<'END'
[Service]
ExecStart=/usr/local/bin/sink
StandardInput=socket
END
systemctl daemon-reload
systemctl start sink.socket
printf '\n[mail]\nserver = "127.0.0.1:25"\nfrom = "appliance@example.net"\n' >>/etc/shadowsync/shadowsync.toml
shadowsync config check
systemctl restart shadowsync.service`

const askOr = "Verification code (or 'lost'):"

var mailedCodeSent = regexp.MustCompile(`Code: (\d{8})`)

// TestLostAuthenticator: in pcli over ssh, 'lost', the password and a mailed code lead to a new
// authenticator, also when the mail is read only in a later login.
func TestLostAuthenticator(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.MustShell(mailServer)
	lost := s.enrols("user222")
	s.Must("shadowsync", "user", "set", "mail", "user222", "anna@example.net")

	s.WriteFile("/run/refuse", "451 4.7.1 come back later", 0o644)
	d := s.SSH("user222", oldPassword)
	d.Answer(askOr, "lost")
	d.Answer("Enter your current password:", oldPassword)
	d.Expect("does not take it now (451)", machine.Patience)
	s.Must("rm", "/run/refuse")

	d = s.SSH("user222", oldPassword)
	d.Answer(askOr, "lost")
	d.Answer("Enter your current password:", oldPassword)
	d.Expect("A code was sent to a…a@example.net", machine.Patience)
	d.Expect("Code from the mail:", machine.Patience)
	sent := s.mailedCode()

	later := s.SSH("user222", oldPassword)
	later.Answer(askOr, sent)
	fresh := s.enrolsInShell(later, oldPassword, "")
	d.Ended(machine.Patience)
	again := s.SSH("user222", oldPassword)
	again.Answer(askOr, sent)
	again.Answer("Enter your current password:", oldPassword)
	again.Expect("no mailed code is valid now", machine.Patience)
	again = s.SSH("user222", oldPassword)
	again.Answer(askOr, fresh.next())
	again.Expect("user222@node1.conductor> ", machine.Patience)

	s.eventually("the owner is told", machine.Patience, func() bool {
		mails := s.Must("sh", "-c", "cat /var/sink/*")
		return strings.Contains(mails, "was reset") && strings.Contains(mails, "was enrolled")
	})
	trail := s.Must("shadowsync", "audit", "--user", "user222")
	for _, what := range []string{"not-mailed", "by the code that was mailed"} {
		if !strings.Contains(trail, what) {
			t.Errorf("the audit has no %q:\n%s", what, trail)
		}
	}
	s.keepsNone(append(append(lost.shown, fresh.shown...), sent))
}

// mailedCode is the code in the last mail that had one.
func (s *stage) mailedCode() string {
	s.t.Helper()
	mails := s.MustShell("cd /var/sink && ls -tr | xargs cat")
	sent := mailedCodeSent.FindAllStringSubmatch(mails, -1)
	if sent == nil {
		s.t.Fatalf("no code was mailed: %s", mails)
	}
	return sent[len(sent)-1][1]
}

// setsUp reads the setup key that a login shows, and types the app's first code.
func (s *stage) setsUp(d *machine.Dialogue, end string) *authenticator {
	s.t.Helper()
	d.Expect("Address:   otpauth://totp/", machine.Patience)
	d.Expect(askForCode, machine.Patience)
	keys := setupKeyShown.FindAllStringSubmatch(d.Transcript(), -1)
	if len(keys) != 1 || !strings.Contains(d.Transcript(), "█▀▀") {
		s.t.Fatalf("no setup key and QR code are shown: %s", d)
	}
	a := &authenticator{s: s, key: strings.ReplaceAll(keys[0][1], " ", "")}
	d.Send(a.code(0) + "\n")
	d.Expect("shadowsync: Second factor enrolled", machine.Patience)
	d.Answer("Press Enter to go on:", "")
	d.Expect(end, machine.Patience)
	a.recovery = recoveryCodeShown.FindAllString(d.Transcript(), -1)
	if len(a.recovery) != 10 {
		s.t.Fatalf("%d recovery codes are shown: %s", len(a.recovery), d)
	}
	a.shown = append(append(a.shown, a.key, strings.TrimSpace(keys[0][1])), a.recovery...)
	return a
}

// TestLostAtLogin: ssh itself leads back whoever lost the authenticator, also when the mail is read only
// in a later login, or the login ends once the key is shown. After a reset by an administrator only
// their enrolment code does.
func TestLostAtLogin(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.MustShell(wireFactor)
	s.MustShell(mailServer)
	old := s.enrols("admin")
	s.Must("shadowsync", "user", "set", "mail", "admin", "anna@example.net")
	var fresh *authenticator
	s.sub("lost", func(s *stage) { fresh = s.losesAtLogin(old) })
	s.sub("reset", func(s *stage) { s.resetAtLogin(fresh) })
	s.sub("console", func(s *stage) {
		d := s.Env("LC_ALL=C.UTF-8").Terminal("setsid", "--wait", "--ctty", "login", "admin")
		d.Answer("assword: ", machine.OldPassword)
		d.Answer(askOr, "lost")
		d.Expect("shadowsync: A code was sent to a…a@example.net", machine.Patience)
		d.Answer("Code from the mail:", s.mailedCode())
		s.setsUp(d, "admin@node1:")
	})
	s.sub("interrupted", func(s *stage) { s.losesWhileBrokersDie() })
}

// losesWhileBrokersDie: an account that no application manages goes the whole way in one login, although the
// broker is killed before each step. Its other sessions end.
func (s *stage) losesWhileBrokersDie() {
	s.MustShell(fmt.Sprintf("useradd -m -s /bin/bash guest; printf 'guest:%s\n' | chpasswd", machine.OldPassword))
	old := s.enrols("guest")
	s.Must("shadowsync", "user", "set", "mail", "guest", "anna@example.net")
	other := s.calls("guest", "echo in-$((40+2)); cat")
	other.Answer(askOr, old.next())
	other.Expect("in-42", machine.Patience)
	kill := func() {
		const present = "systemctl show -P MainPID -P ActiveState shadowsync.service"
		before := s.MustShell(present)
		s.MustShell("kill -9 $(systemctl show -P MainPID shadowsync.service)")
		s.eventually("another broker is ready", machine.Patience, func() bool {
			now := s.MustShell(present)
			return now != before && strings.Contains(now, "\nactive")
		})
	}
	d := s.calls("guest")
	d.Expect(askOr, machine.Patience)
	kill()
	d.Send("lost\n")
	d.Expect("Code from the mail:", machine.Patience)
	kill()
	d.Send(s.mailedCode() + "\n")
	d.Expect("Setup key: ", machine.Patience)
	other.Ended(machine.Patience)
	kill()
	s.setsUp(d, "in-42")
}

func (s *stage) losesAtLogin(old *authenticator) *authenticator {
	s.WriteFile("/run/refuse", "451 4.7.1 come back later", 0o644)
	d := s.calls("admin")
	d.Answer(askOr, "lost")
	d.Expect("does not take it now (451)", machine.Patience)
	s.Must("rm", "/run/refuse")
	d.Answer(askOr, "LOST")
	d.Expect("shadowsync: A code was sent to a…a@example.net", machine.Patience)
	d.Answer("Code from the mail:", "") // which ends the login
	d.Ended(machine.Patience)
	sent := s.mailedCode()
	s.admits("the old one, before the mailed code is typed", byDialogue, "admin", machine.OldPassword, old.next())
	if asked := s.keepsOut("a mailed code without the password", byDialogue, "admin", "wrong", sent, "Permission denied"); strings.Contains(asked, "code") {
		s.t.Errorf("a thief of the mail is asked for %q", asked)
	}
	d = s.calls("admin")
	d.Answer(askOr, "00000000")
	d.Expect("shadowsync: the code is not right", machine.Patience)
	d.Answer(askOr, sent)
	d.Expect("type this enrolment code at the prompt for a code: ", machine.Patience)
	d.Answer(askForCode, "") // the login ends; its key is on the screen
	d.Ended(machine.Patience)
	key := setupKeyShown.FindStringSubmatch(d.Transcript())
	if key == nil {
		s.t.Fatalf("no setup key is shown: %s", d)
	}
	app := &authenticator{s: s, key: strings.ReplaceAll(key[1], " ", "")}
	d = s.calls("admin")
	d.Answer(askOr, sent)
	d.Expect("no mailed code is valid now", machine.Patience)
	d.Answer(askOr, app.code(0))
	d.Answer("Press Enter to go on:", "")
	d.Expect("in-42", machine.Patience)
	app.recovery = recoveryCodeShown.FindAllString(d.Transcript(), -1)
	s.keepsOut("the old one", byDialogue, "admin", machine.OldPassword, old.next(), "Permission denied")
	s.untold(append(app.recovery, sent, app.key))
	return app
}

func (s *stage) resetAtLogin(old *authenticator) {
	old.s = s
	ticket := enrolmentCode.FindStringSubmatch(s.Must("shadowsync", "user", "reset", "2fa", "local", "admin"))
	if ticket == nil {
		s.t.Fatal("no enrolment code is printed")
	}
	d := s.calls("admin")
	d.Expect("shadowsync: Your second factor was reset. Enrol a new one", machine.Patience)
	for _, guess := range []string{"lost", old.code(0), "bcdf-bcdf-bcdf-bcdf-bcdf"} {
		d.Answer("Enrolment code:", guess)
	}
	d.Answer("Enrolment code:", ticket[1])
	fresh := s.setsUp(d, "in-42")
	s.admitsAt(askOr, fresh.next())
	s.untold(append(fresh.shown, ticket[1]))
}

// untold asserts that neither audit nor journal tells a secret.
func (s *stage) untold(secrets []string) {
	s.t.Helper()
	told := s.Must("shadowsync", "audit", "--user", "admin") + s.Must("journalctl", "-o", "export", "--no-pager")
	for _, secret := range secrets {
		if strings.Contains(told, secret) {
			s.t.Errorf("the audit or the journal tells %q", secret)
		}
	}
}

// admitsAt asserts that a login with a code succeeds at this prompt.
func (s *stage) admitsAt(prompt, code string) {
	s.t.Helper()
	d := s.calls("admin")
	d.Answer(prompt, code)
	d.Expect("in-42", machine.Patience)
}
