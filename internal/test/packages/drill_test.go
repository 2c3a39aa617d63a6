package packages

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// A half is a state in which only a part of shadowsync is left.
type half struct{ what, spoil, says, mend, password string }

var halves = []half{
	{
		"module gone, line left", "mv /usr/lib/x86_64-linux-gnu/security/pam_shadowsync.so /root", "pam_shadowsync.so",
		"mv /root/pam_shadowsync.so /usr/lib/x86_64-linux-gnu/security", "Trubador-Gneis-83",
	},
	{
		"line there, broker gone", "mv /usr/sbin/shadowsync /root; systemctl kill --signal=KILL shadowsync.service; systemctl stop shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket shadowsync.service", "shadowsync.socket",
		"mv /root/shadowsync /usr/sbin; systemctl start shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket shadowsync.service", "Trubador-Gneis-84",
	},
}

// during makes the half, tries what must be so then, and has doctor name the fault.
func (h half) during(t *testing.T, m *machine.T, holds func()) {
	t.Helper()
	m.MustShell(h.spoil)
	holds()
	if said := m.Shell("$(ls -d /root/shadowsync /usr/sbin/shadowsync 2>/dev/null | head -n 1) doctor"); said.Code == 0 || !strings.Contains(said.Stdout+said.Stderr, h.says) {
		t.Errorf("%s: doctor: %s", h.what, said)
	}
	m.MustShell(h.mend)
}

// A line of PAM without its module, and a module without its broker: people change passwords and log in all
// the same, and doctor names what is wrong.
func TestHalfGone(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		guest(m)
		m.MustShell(install + " /packages/*.deb")
		m.Configure()
		m.MustShell("shadowsync setup --first os")
		for _, h := range halves {
			h.during(t, m, func() { works(t, m, h.what, h.password) })
		}
		m.MustShell("mv /usr/sbin/shadowsync /root")
		m.MustShell(remove + " shadowsync")
		works(t, m, "removed without its program", "Trubador-Gneis-85")
	})
}

// The same with lines that ask for second factors: root gets in at the console. Without the module nobody else
// does, and without the broker nobody who has a second factor. Whoever is logged in notices nothing.
func TestHalfGoneWithFactors(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		guest(m)
		m.MustShell(install + " /packages/*.deb")
		p := settle(t, m)
		for _, h := range halves {
			h.during(t, m, func() {
				worksHere(t, m, h.what, h.password)
				console(t, m, h.what)
				for _, account := range []string{"admin", "guest"} {
					if in := m.Login(account, h.password); in != (h.what != halves[0].what) {
						t.Errorf("%s: %s logs in over ssh: %v", h.what, account, in)
					}
				}
				if said := p.comes(m, p.recovery); said.Code == 0 {
					t.Errorf("%s: user222 logs in with a code that nobody can check: %s", h.what, said)
				}
			})
		}
		p.getIn(t, m, "all there again")
	})
}
