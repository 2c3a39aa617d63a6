package scenes

import (
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

var mailedCodeSent = regexp.MustCompile(`Code: (\d{8})`)

// TestLostAuthenticator: in pcli over ssh, 'lost', the password and a mailed code lead to a new
// authenticator, also when the mail is read only in a later login.
func TestLostAuthenticator(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.MustShell(mailServer)
	s.enrols("user222")
	s.Must("shadowsync", "user", "set", "mail", "user222", "anna@example.net")

	const askOr = "Verification code (or 'lost'):"
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
	sent := mailedCodeSent.FindStringSubmatch(s.Must("sh", "-c", "cat /var/sink/*"))
	if sent == nil {
		t.Fatalf("no code was mailed: %s", s.Must("sh", "-c", "cat /var/sink/*"))
	}

	later := s.SSH("user222", oldPassword)
	later.Answer(askOr, sent[1])
	fresh := s.enrolsInShell(later, oldPassword, "")
	d.Ended(machine.Patience)
	again := s.SSH("user222", oldPassword)
	again.Answer(askOr, sent[1])
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
	if told := trail + s.Must("journalctl", "-o", "export", "--no-pager"); strings.Contains(told, sent[1]) {
		t.Error("the audit or the journal tells the mailed code")
	}
}
