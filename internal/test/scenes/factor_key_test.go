package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// keyAsCredential moves the key of the second factors into a credential.
const keyAsCredential = `set -e
mkdir -p /etc/credstore.encrypted
systemd-creds encrypt --with-key=host --name=factor-key /var/lib/shadowsync/factor.key /etc/credstore.encrypted/factor-key
printf '\n[second_factor]\nkey_credential = "factor-key"\n' >>/etc/shadowsync/shadowsync.toml
shadowsync config check
systemctl restart shadowsync.service`

// TestKeyAsCredential: the key of the second factors is a systemd credential of a unit that is started when a
// code is checked. A credential that is missing fails the check, and nothing else.
func TestKeyAsCredential(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	user := s.enrols("user222")
	s.MustShell(keyAsCredential)
	if said := s.Run("shadowsync", "doctor").Stdout; !strings.Contains(unbroken(said), "factor.key is still there, in the clear") {
		t.Errorf("doctor does not name the file: %s", said)
	}
	s.Must("rm", "/var/lib/shadowsync/factor.key")
	s.refuses("the code of the enrolment", "user222", user.enrolled)
	if units := s.keyUnits(); units != 0 {
		t.Errorf("%d units have the key before the broker checks a code", units)
	}
	d := s.SSH("user222", oldPassword)
	d.Answer(askForCode, user.code(30))
	d.Expect("user222@node1.conductor> ", machine.Patience)
	if units := s.keyUnits(); units != 1 {
		t.Errorf("%d units have the key", units)
	}
	// The next check is by a unit that takes the place of one that was killed.
	s.MustShell("systemctl kill -s KILL 'shadowsync-helper-key-*'")
	second := s.enrols("admin")
	d = s.SSH("admin", oldPassword)
	d.Answer(askForCode, second.code(30))
	d.Expect("admin@node1.conductor# ", machine.Patience)

	if made := s.Input("Backup-velvet-31\n").Must("shadowsync", "backup", "/root/backup", "--stdin", "--json"); !strings.Contains(made, `"factor_key": true`) {
		t.Errorf("the backup is without the key: %s", made)
	}
	s.MustShell("mv /etc/credstore.encrypted/factor-key /root/sealed && systemctl restart shadowsync.service && systemctl is-active --quiet shadowsync.service")
	s.lacksCredential(user, "there is none of that name")
	s.MustShell("printf 12345678901234567890123456789012 | systemd-creds encrypt --with-key=host --name=other - /etc/credstore.encrypted/factor-key")
	s.lacksCredential(user, "systemd cannot decrypt it")
	s.Must("mv", "/root/sealed", "/etc/credstore.encrypted/factor-key")
	if said := s.Run("shadowsync", "doctor").Stdout; strings.Contains(said, "key lost") {
		t.Errorf("doctor says %s", said)
	}
	s.Must("systemctl", "stop", "shadowsync.service")
	s.eventually("no unit has the key", machine.Patience, func() bool { return s.keyUnits() == 0 })
}

// keyUnits counts the units that have the key.
func (s *stage) keyUnits() int {
	s.t.Helper()
	return len(strings.Fields(s.MustShell("ls -d /run/credentials/shadowsync-helper-key-* 2>/dev/null || true")))
}

// lacksCredential: without the credential no code of an authenticator is taken, recovery codes are, and the
// cause is named.
func (s *stage) lacksCredential(a *authenticator, cause string) {
	s.t.Helper()
	r := s.Input(a.code(30)+"\n").Run("shadowsync", "user", "check", "2fa", "user222", "--stdin")
	if r.Code == 0 || !strings.Contains(r.Stderr, cause) {
		s.t.Errorf("a code without the credential: %s", r)
	}
	if said := unbroken(s.Run("shadowsync", "doctor").Stdout); !strings.Contains(said, "key lost, so no code of an authenticator") || !strings.Contains(said, cause) {
		s.t.Errorf("doctor says %s", said)
	}
	d := s.SSH("user222", oldPassword)
	d.Answer(askForCode, a.next())
	d.Expect("user222@node1.conductor> ", machine.Patience)
}
