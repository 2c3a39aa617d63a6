package scenes

import (
	"encoding/base32"
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// peerServices are services that ask for a code of the same authenticator: by another module, and by ours.
const peerServices = `set -e
printf 'auth required pam_google_authenticator.so secret=/root/google user=root\naccount required pam_permit.so\n' >/etc/pam.d/google
printf 'auth required pam_oath.so usersfile=/root/users.oath window=3\naccount required pam_permit.so\n' >/etc/pam.d/oath
printf 'auth substack common-auth\nauth required pam_shadowsync.so factor\naccount required pam_permit.so\n' >/etc/pam.d/ours`

// TestPeersTakeACodeTwice: an authenticator that other modules know too. Where the first login and one in the
// same second both succeed with a code, with ours only the first does.
func TestPeersTakeACodeTwice(t *testing.T) {
	t.Parallel()
	s := setOn(t, machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Peers}), machine.Appliance{})
	s.MustShell(peerServices)
	a := s.enrols("admin")
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(a.key)
	if err != nil {
		t.Fatal(err)
	}
	s.WriteFile("/root/google", a.key+"\n\" TOTP_AUTH\n", 0o400)
	s.WriteFile("/root/users.oath", fmt.Sprintf("HOTP/T30/6\tadmin\t-\t%x\n", secret), 0o600)

	code := a.code(30)
	twice := 0
	for _, peer := range []string{"google", "oath"} {
		switch out := s.takenOf(peer, code); out {
		case "taken\ntaken\n":
			twice++
		case "taken\n":
		default:
			t.Errorf("%s does not know the authenticator: %q", peer, out)
		}
	}
	if twice == 0 {
		t.Error("no peer takes a code twice: the comparison says nothing")
	}
	if out := s.takenOf("ours", machine.OldPassword, code); out != "taken\n" {
		t.Errorf("ours: %q", out)
	}
}

// takenOf logs in to a service twice with the same answers, and says how often that is taken.
func (s *stage) takenOf(service string, answers ...string) string {
	s.t.Helper()
	s.WriteFile("/root/answers", strings.Join(answers, "\n")+"\n", 0o600)
	return s.MustShell("for i in 1 2; do pamtester " + service + " admin authenticate </root/answers >/dev/null 2>&1 && echo taken; done; true")
}
