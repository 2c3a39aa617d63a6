package scenes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// mailAgent is Debian's exim4 on mail.example.net, an address that is not a loopback one. It takes mail over
// TLS from who logs in, and keeps it in /var/sink/mail. /etc/authority.pem has signed its certificate.
const mailAgent = `set -e
ip address add 192.0.2.25/32 dev lo
echo '192.0.2.25 mail.example.net' >>/etc/hosts
cd /etc/exim4
for ca in authority stranger; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$ca" -keyout /etc/$ca.key -out /etc/$ca.pem
done
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mail.example.net -keyout server.key -out server.csr
printf 'subjectAltName=DNS:mail.example.net' >san
openssl x509 -req -in server.csr -CA /etc/authority.pem -CAkey /etc/authority.key -CAcreateserial -days 2 -extfile san -out server.pem
chown Debian-exim server.key
install -d -o Debian-exim /var/sink
cat >exim4.conf <<'END'
primary_hostname = mail.example.net
daemon_smtp_ports = 465 : 587
tls_on_connect_ports = 465
tls_advertise_hosts = *
tls_certificate = /etc/exim4/server.pem
tls_privatekey = /etc/exim4/server.key
local_interfaces = 192.0.2.25
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny !authenticated = *
  defer condition = ${if exists{/run/greylist}}
        message = come back later
  accept
begin routers
all:
  driver = accept
  transport = sink
begin transports
sink:
  driver = appendfile
  file = /var/sink/mail
  user = Debian-exim
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{appliance}}{eq{$auth3}{Mail-velvet-19}}}}
  server_set_id = $auth2
  server_advertise_condition = ${if def:tls_in_cipher}
END
systemctl stop exim4
cat >/usr/local/bin/mta <<'END'
#!/bin/sh
systemd-run --quiet --collect --unit=mta exim4 -bdf
timeout 60 sh -c 'until ss -ltn | grep -q 192.0.2.25:587; do sleep 0.1; done'
END
chmod 755 /usr/local/bin/mta
mta
printf 'Mail-velvet-19' | systemd-creds encrypt --with-key=host --name=mail-password - /root/sealed
install -D -m 600 /root/sealed /etc/credstore.encrypted/mail-password
cat >>/etc/shadowsync/shadowsync.toml <<'END'

[mail]
server = "mail.example.net:587"
ca = "/etc/authority.pem"
from = "appliance@example.net"
user = "appliance"
credential = "mail-password"
END
shadowsync config check
systemctl restart shadowsync.service`

// mailFaults are what may be wrong with a mail server: the command that breaks it, the one that mends it, and
// what doctor and the audit say.
var mailFaults = []struct{ name, breaking, mending, says string }{
	{"another certificate", "sed -i s/authority/stranger/ /etc/shadowsync/shadowsync.toml", "sed -i s/stranger/authority/ /etc/shadowsync/shadowsync.toml", "certificate of the mail server mail.example.net:587 is not trusted"},
	{"server down", "systemctl stop mta", "mta", "cannot reach the mail server"},
	{"credential missing", "rm /etc/credstore.encrypted/mail-password", "cp /root/sealed /etc/credstore.encrypted/mail-password", "the credential mail-password is not usable: there is none of that name"},
	{"credential of another name", "printf x | systemd-creds encrypt --with-key=host --name=other - /etc/credstore.encrypted/mail-password", "cp /root/sealed /etc/credstore.encrypted/mail-password", "the credential mail-password is not usable: systemd cannot decrypt it"},
	{"wrong password", "printf x | systemd-creds encrypt --with-key=host --name=mail-password - /etc/credstore.encrypted/mail-password", "cp /root/sealed /etc/credstore.encrypted/mail-password", "refuses the login of appliance (535)"},
	{"wrong port", "sed -i s/example.net:587/example.net:466/ /etc/shadowsync/shadowsync.toml", "sed -i s/example.net:466/example.net:587/ /etc/shadowsync/shadowsync.toml", "cannot reach the mail server"},
}

// TestMailServer: the way back by mail with a real server over TLS that wants a login: what is wrong with it is
// named by doctor and fails that mail alone, and once it is mended the same account gets its code.
func TestMailServer(t *testing.T) {
	t.Parallel()
	s := mannedOn(t, machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Mail}))
	s.MustShell(mailAgent)
	lost := s.enrols("user222")
	s.Must("shadowsync", "user", "set", "mail", "user222", "anna@example.net")
	s.mailed("has another mail", 1)
	s.doctorOfMail("mail.example.net:587 takes mail")
	for _, fault := range mailFaults {
		s.sub(fault.name, func(s *stage) {
			s.MustShell(fault.breaking)
			s.doctorOfMail(fault.says)
			s.Must("shadowsync", "user", "set", "mail", "user222", "anna@example.net")
			if trail := s.Must("shadowsync", "audit", "--user", "user222", "--action", "not-mailed", "--tail", "1"); !strings.Contains(unbroken(trail), fault.says) {
				s.t.Errorf("the audit says %s", trail)
			}
			s.MustShell(fault.mending)
			s.doctorOfMail("mail.example.net:587 takes mail")
		})
	}
	s.mailed("has another mail", 1)
	s.Must("systemctl", "is-active", "--quiet", "shadowsync.service")

	s.WriteFile("/run/greylist", "", 0o644)
	s.losesAuthenticator("user222").Expect("does not take it now (451)", machine.Patience)
	s.Must("rm", "/run/greylist")
	d := s.losesAuthenticator("user222")
	d.Expect("Code from the mail:", machine.Patience)
	s.mailed("Code: ", 1)
	sent := mailedCodeSent.FindStringSubmatch(s.ReadFile("/var/sink/mail"))
	if sent == nil {
		t.Fatalf("no code was mailed: %s", s.ReadFile("/var/sink/mail"))
	}
	d.Send(sent[1] + "\n")
	fresh := s.confirmsInShell(d)
	s.mailed("was enrolled", 1)

	s.MustShell("sed -i s/example.net:587/example.net:465/ /etc/shadowsync/shadowsync.toml && systemctl restart shadowsync.service")
	s.doctorOfMail("mail.example.net:465 takes mail")
	s.losesAuthenticator("user222").Expect("A code was sent to a…a@example.net", machine.Patience)
	if all := s.ReadFile("/var/sink/mail"); !strings.Contains(all, "esmtpsa") {
		s.t.Errorf("no mail came over TLS with a login: %s", all)
	}
	s.keepsNone(append(append(lost.shown, fresh.shown...), sent[1], "Mail-velvet-19"))
}

// doctorOfMail asserts what doctor says about the mail server.
func (s *stage) doctorOfMail(says string) {
	s.t.Helper()
	for line := range strings.Lines(s.Run("shadowsync", "doctor").Stdout) {
		if fields := strings.Fields(line); len(fields) > 1 && (fields[0] == "mail" || fields[1] == "mail") {
			if !strings.Contains(line, says) {
				s.t.Errorf("doctor says %q, not %q", line, says)
			}
			return
		}
	}
	s.t.Errorf("doctor says nothing about mail")
}

// mailed asserts that so many mails with that text arrive.
func (s *stage) mailed(text string, times int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%q is mailed", text), machine.Patience, func() bool {
		return strings.Count(s.Run("cat", "/var/sink/mail").Stdout, text) == times
	})
}

// losesAuthenticator plays 'lost' in a new shell, up to the answer.
func (s *stage) losesAuthenticator(account string) *machine.Dialogue {
	s.t.Helper()
	d := s.SSH(account, oldPassword)
	d.Answer("Verification code (or 'lost'):", "lost")
	d.Answer("Enter your current password:", oldPassword)
	return d
}
