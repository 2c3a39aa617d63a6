package packages

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// A line of PAM without its module, and a module without its broker: people change passwords and log in all
// the same, and doctor names what is wrong.
func TestHalfGone(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		guest(m)
		m.MustShell(install + " /packages/*.deb")
		m.Configure()
		m.MustShell("shadowsync setup --first os")
		for _, drill := range []struct{ what, break_, says, mend, password string }{
			{"module gone, line left", "mv /usr/lib/x86_64-linux-gnu/security/pam_shadowsync.so /root", "pam_shadowsync.so", "mv /root/pam_shadowsync.so /usr/lib/x86_64-linux-gnu/security", "Trubador-Gneis-83"},
			{"line there, broker gone", "mv /usr/sbin/shadowsync /root; systemctl kill --signal=KILL shadowsync.service; systemctl stop shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket shadowsync.service", "shadowsync.socket", "mv /root/shadowsync /usr/sbin; systemctl start shadowsync.socket shadowsync.service", "Trubador-Gneis-84"},
		} {
			m.MustShell(drill.break_)
			works(t, m, drill.what, drill.password)
			if said := m.Shell("$(ls -d /root/shadowsync /usr/sbin/shadowsync 2>/dev/null | head -n 1) doctor"); said.Code == 0 || !strings.Contains(said.Stdout+said.Stderr, drill.says) {
				t.Errorf("%s: doctor: %s", drill.what, said)
			}
			m.MustShell(drill.mend)
		}
		m.MustShell(`printf '\n[second_factor]\nservices = ["sshd", "login"]\n' >> /etc/shadowsync/shadowsync.toml && shadowsync setup --first os &&
			grep -q 'pam_shadowsync.so factor' /etc/pam.d/sshd && grep -q 'pam_shadowsync.so factor' /etc/pam.d/login && mv /usr/sbin/shadowsync /root`)
		m.MustShell(remove + " shadowsync")
		if left := m.Shell("grep -r '^[^#]*pam_shadowsync' /etc/pam.d"); left.Code == 0 {
			t.Errorf("removed without its program: left are %s", left.Stdout)
		}
		works(t, m, "removed without its program", "Trubador-Gneis-85")
	})
}

// dpkg is killed after different times, while it upgrades and while it removes. Whatever it had done by then,
// people change passwords and log in, and dpkg can be told to go on.
func TestDpkgKilled(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		guest(m)
		m.MustShell(install + " /packages/*.deb")
		m.Configure()
		m.MustShell("shadowsync setup --first os")
		cut := 0
		for i, after := range []string{"0.1", "0.3", "0.6", "1", "2"} {
			for _, doing := range []string{"--install /packages/shadowsync.deb", "--remove --force-depends shadowsync"} {
				if m.Shell("timeout --signal=KILL "+after+" dpkg "+doing).Code == 137 {
					cut++
				}
				works(t, m, "killed after "+after+" s of dpkg "+doing, "Trubador-Gneis-8"+string(rune('0'+i)))
				m.MustShell("dpkg --force-depends --configure --pending; dpkg --force-depends --install /packages/shadowsync.deb && shadowsync setup --first os")
			}
		}
		if cut < 4 {
			t.Errorf("dpkg was killed only %d times: it is faster than the times here", cut)
		}
	})
}
