package packages

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// hangStore stops the process that the broker writes to the store with.
const hangStore = "systemctl kill --signal=STOP shadowsync-store-conductor.service"

// At each step of an upgrade somebody's passwd is in flight while dpkg goes on. Where the package is about to be
// configured, which restarts the broker, the broker has taken the change, and its store hangs. What passwd says is
// true, and no change is lost.
func TestChangeInFlight(t *testing.T) {
	onEachReleaseWithFormer(t, func(t *testing.T, m *machine.T) {
		m.MustShell(install + " /former/shadowsync.deb /former/shadowsync-pcli.deb")
		m.Configure()
		m.MustShell("shadowsync setup --first os")
		broker := func() string {
			return m.Must("systemctl", "show", "--property=MainPID", "--value", "shadowsync.service")
		}
		former, hung := broker(), 0
		flying := setsOff(m, 0)
		steps := atEachStep(t, m, ofPackages, upgrading, func(number int, _ string) {
			landed(t, m, flying)
			hang := aboutToConfigure(m)
			if hang {
				m.MustShell(hangStore)
				hung++
			}
			flying = setsOff(m, number)
			if hang {
				m.WaitFor("the broker has taken the change", machine.Patience, func() bool {
					return m.Run("shadowsync", "status", "--check").Code != 0
				})
			}
		})
		landed(t, m, flying)
		if now := broker(); hung != 1 || now == former {
			t.Errorf("of %d steps the store hung at %d; the broker was process %s, and is %s", steps, hung, former, now)
		}
	})
}

// aboutToConfigure reports whether dpkg runs postinst of the new package next.
func aboutToConfigure(m *machine.T) bool {
	const status = `tail -n 1 /var/log/dpkg.log | grep -q "status half-configured shadowsync:amd64 $(dpkg-deb --field /packages/shadowsync.deb Version)$"`
	return m.Shell(status).Code == 0
}

// setsOff starts a passwd, and returns when it has changed the OS.
func setsOff(m *machine.T, number int) *machine.Process {
	before, password := m.ShadowHash("admin"), fmt.Sprintf("Trubador-Gneis-%d", 100+number)
	passwd := m.Input(password+"\n"+password+"\n").Start("passwd", "admin")
	m.WaitFor("passwd has changed the OS", machine.Patience, func() bool { return m.ShadowHash("admin") != before })
	return passwd
}

// landed compares what a passwd said with what is so, and waits until both sides have the change.
func landed(t *testing.T, m *machine.T, passwd *machine.Process) {
	t.Helper()
	<-passwd.Done()
	inStore := m.StoreHash("admin") == m.ShadowHash("admin")
	said := passwd.Output()
	switch {
	case passwd.Code() != 0 || !strings.Contains(said, "updated successfully"):
		t.Errorf("passwd ends with %d and says %s", passwd.Code(), said)
	case strings.Contains(said, "persisted in conductor's credential store"):
		if !inStore {
			t.Errorf("the store has not what passwd said was persisted: %s", said)
		}
	case !strings.Contains(said, "queued") && !strings.Contains(said, "NOT persisted"):
		t.Errorf("passwd does not say what became of the change: %s", said)
	}
	m.Must("rm", "-f", "/run/shadowsync/pam-timeout") // otherwise the module asks nobody for half a minute
	m.WaitFor("the store has the change", machine.Patience, func() bool { return m.StoreHash("admin") == m.ShadowHash("admin") })
}
