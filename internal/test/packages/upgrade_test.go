package packages

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

var buildFormer = sync.OnceValue(func() error {
	if err := os.MkdirAll(formerDist(), 0o755); err != nil {
		return err
	}
	return makePackages(top, formerDist(), "former-packages", "ARCHITECTURES=amd64")
})

func formerDist() string { return filepath.Join(dist, "former") }

// onEachReleaseWithFormer is onEachRelease, and brings the former packages too.
func onEachReleaseWithFormer(t *testing.T, play func(t *testing.T, m *machine.T)) {
	t.Helper()
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		if err := buildFormer(); err != nil {
			t.Fatal(err)
		}
		bring(t, m, formerDist(), "/former")
		play(t, m)
	})
}

const breakStore, mendStore = "mv /var/lib/128technology /var/lib/128technology.away", "mv /var/lib/128technology.away /var/lib/128technology"

// An upgrade with a change that waits for its store keeps it, and the operators' shells stay open. Then the
// state is the new version's, and the former version is not installed over it.
func TestUpgrade(t *testing.T) {
	onEachReleaseWithFormer(t, func(t *testing.T, m *machine.T) {
		guest(m)
		m.MustShell(install + " /former/*.deb")
		m.Configure()
		m.MustShell("shadowsync setup --first os; systemctl start 128T.service; usermod --shell /usr/bin/pcli user222")
		before := m.Must("systemctl", "show", "--property=MainPID", "--value", "shadowsync.service")
		shell := m.SSH("user222", machine.OldPassword)
		shell.Expect("user222@", 30*time.Second)

		m.MustShell(breakStore)
		if said := passwdSays(m, "admin", "Trubador-Gneis-82"); !strings.Contains(said, "NOT persisted") {
			t.Errorf("without its store, passwd says %s", said)
		}
		m.MustShell(install + " /packages/*.deb")
		if after := m.Must("systemctl", "show", "--property=MainPID", "--value", "shadowsync.service"); after == before || after == "0\n" {
			t.Errorf("the broker was process %s, and is %s", before, after)
		}
		if said := m.Run("shadowsync", "status"); !strings.Contains(said.Stdout, "pending") {
			t.Errorf("after the upgrade: %s", said)
		}
		shell.Send("show sync\n")
		shell.Expect("user222@", 30*time.Second)
		m.MustShell(mendStore)
		m.Must("shadowsync", "sync")
		if m.StoreHash("admin") != m.ShadowHash("admin") {
			t.Error("the change that waited during the upgrade is lost")
		}
		works(t, m, "upgraded", "Trubador-Gneis-83")

		refused := m.Shell("dpkg --install /former/shadowsync.deb 2>&1")
		if refused.Code == 0 || !strings.Contains(refused.Stdout, "cannot install this version: a newer one wrote the state") {
			t.Errorf("a downgrade: %s", refused)
		}
		m.Must("dpkg", "--audit")
		if said := passwdSays(m, "admin", "Trubador-Gneis-84"); !strings.Contains(said, "persisted in conductor's credential store") {
			t.Errorf("after a refused downgrade, passwd says %s", said)
		}
	})
}

// Whoever had pcli as login shell can log in after it is gone: with the shell on record, or /bin/sh.
func TestShellsAfterRemoval(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		m.MustShell("usermod --shell /bin/bash admin")
		m.MustShell(install + " /packages/*.deb")
		m.Configure()
		m.MustShell("shadowsync setup --first os")
		m.MustShell("usermod --shell /usr/bin/pcli admin; useradd --create-home --shell /usr/bin/pcli newcomer; echo newcomer:Gneis-Kelp-4711 | chpasswd")
		said := m.MustShell(remove + " shadowsync-pcli 2>&1")
		for _, want := range []string{"admin has the shell /bin/bash now, as before pcli", "newcomer has the shell /bin/sh now"} {
			if !strings.Contains(said, want) {
				t.Errorf("the removal of pcli does not say %q:\n%s", want, said)
			}
		}
		for account, password := range map[string]string{"admin": machine.OldPassword, "newcomer": "Gneis-Kelp-4711"} {
			if !m.Login(account, password) {
				t.Errorf("%s cannot log in over ssh any more", account)
			}
		}
		if said := passwdSays(m, "admin", "Trubador-Gneis-84"); !strings.Contains(said, "persisted in conductor's credential store") {
			t.Errorf("without pcli, passwd says %s", said)
		}
	})
}

// In a chroot, where no systemd runs, the packages are installed and removed all the same, and no secret is made
// that all copies of an image would share.
func TestImage(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		m.PowerOff()
		for _, command := range []string{install + " /packages/*.deb", "test ! -e /var/lib/shadowsync", "grep -q '^shadowsync-web:!' /etc/shadow", remove + " shadowsync", purge + " shadowsync shadowsync-pcli shadowsync-web"} {
			run(t, "unshare", "--mount", "--pid", "--fork", "--kill-child", "chroot", m.Root(), "/bin/sh", "-c", "export PATH=/usr/sbin:/usr/bin; "+command)
		}
		m.PowerOn()
		m.Must("passwd", "--status", "admin")
	})
}
