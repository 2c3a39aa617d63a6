package packages

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// onEachRelease plays a scene on an appliance of each release, to which the packages in a folder were brought.
func onEachRelease(t *testing.T, play func(t *testing.T, m *machine.T)) {
	t.Helper()
	t.Parallel()
	need(t)
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := machine.Boot(t, release)
			m.InstallAppliance(machine.Appliance{})
			bring(t, m, dist, "/packages")
			play(t, m)
		})
	}
}

// bring copies the packages of a folder to a machine.
func bring(t *testing.T, m *machine.T, from, to string) {
	t.Helper()
	for _, name := range names {
		m.CopyIn(file(t, from, name+"_*_amd64.deb"), filepath.Join(to, name+".deb"), 0o644)
	}
}

const (
	install = "DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes install"
	remove  = "DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes remove"
	purge   = "DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes purge"
)

// passwdSays changes an account's password as root and returns what passwd prints.
func passwdSays(m *machine.T, account, password string) string {
	said := m.Input(password+"\n"+password+"\n").Run("passwd", account)
	return said.Stdout + said.Stderr
}

// works fails unless a person can still change a password, log in, and become somebody else.
func works(t *testing.T, m *machine.T, when, password string) {
	t.Helper()
	worksHere(t, m, when, password)
	for _, account := range []string{"admin", "guest"} {
		if !m.Login(account, password) {
			t.Errorf("%s: %s cannot log in over ssh", when, account)
		}
	}
}

// worksHere fails unless whoever is logged in can change a password and become somebody else.
func worksHere(t *testing.T, m *machine.T, when, password string) {
	t.Helper()
	if said := passwdSays(m, "admin", password); !strings.Contains(said, "updated successfully") {
		t.Errorf("%s: passwd says %s", when, said)
	}
	if said := m.Input("guest:" + password + "\n").Run("chpasswd"); said.Code != 0 {
		t.Errorf("%s: chpasswd: %s", when, said)
	}
	if said := m.As("guest").Input(password+"\n").Run("su", "--command", "id --user --name", "admin"); said.Stdout != "admin\n" {
		t.Errorf("%s: su: %s", when, said)
	}
	if said := m.As("guest").Input(password+"\n").Run("sudo", "--stdin", "id", "--user", "--name"); said.Stdout != "root\n" {
		t.Errorf("%s: sudo: %s", when, said)
	}
}

// guest is somebody whom no application manages, and who may use sudo.
func guest(m *machine.T) {
	m.AddUser("guest", "guest-Kelp-4711")
	m.MustShell("adduser --quiet guest sudo 2>/dev/null || usermod -aG sudo guest")
}

// Installing makes a folder for the configuration, and changes nothing else in /etc. What setup wires, a removal takes
// off, and the configuration stays until a purge.
func TestLife(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		guest(m)
		before := m.Etc()
		m.MustShell(install + " --no-install-recommends /packages/shadowsync.deb") // alone: it needs none of the others
		if changed := difference(before, m.Etc()); changed != "+ ./shadowsync d 755 root:root \n" {
			t.Errorf("installing changed in /etc:\n%s", changed)
		}
		if said := m.Shell("systemctl is-active shadowsync.socket shadowsync.service; systemctl is-enabled shadowsync.service; ls /var/lib/shadowsync"); strings.Contains(said.Stdout, "\nactive") || strings.HasPrefix(said.Stdout, "active") || strings.Contains(said.Stdout, "enabled") || !strings.Contains(said.Stderr, "No such file") {
			t.Errorf("after the installation: %s", said)
		}
		works(t, m, "installed", "Gneis-Trubador-81")

		m.Configure()
		m.MustShell("shadowsync setup --first os")
		if said := passwdSays(m, "admin", "Trubador-Gneis-82"); !strings.Contains(said, "persisted in conductor's credential store") {
			t.Errorf("passwd says %s", said)
		}
		works(t, m, "wired", "Trubador-Gneis-83")

		said := m.MustShell(remove + " shadowsync 2>&1")
		if lines := m.Shell("grep -r pam_shadowsync /etc/pam.d; systemctl list-units --all 'shadowsync*' --no-legend; ls /run/shadowsync /usr/sbin/shadowsync 2>/dev/null"); lines.Stdout != "" {
			t.Errorf("a removal leaves %s\nit says:\n%s", lines, said)
		}
		m.Must("test", "-s", machine.ConfigurationPath)
		works(t, m, "removed", "Gneis-Trubador-84")

		m.MustShell(install + " /packages/*.deb")
		m.MustShell("shadowsync setup --first os")
		if said := passwdSays(m, "admin", "Trubador-Gneis-85"); !strings.Contains(said, "persisted in conductor's credential store") {
			t.Errorf("installed again, passwd says %s", said)
		}

		said = m.MustShell(purge + " shadowsync shadowsync-pcli 2>&1")
		if !strings.Contains(said, "/var/lib/shadowsync is kept") {
			t.Errorf("a purge says:\n%s", said)
		}
		m.Must("test", "-d", "/var/lib/shadowsync")
		if left := m.Shell("ls -d /etc/shadowsync /run/shadowsync 2>/dev/null"); left.Stdout != "" {
			t.Errorf("a purge leaves %s", left)
		}
		works(t, m, "purged", "Gneis-Trubador-86")

		m.MustShell(install + " /packages/*.deb")
		m.Configure()
		m.MustShell("shadowsync setup --first os && echo 'shadowsync shadowsync/purge-state boolean true' | debconf-set-selections")
		said = m.MustShell(purge + " shadowsync shadowsync-pcli shadowsync-web 2>&1")
		if !strings.Contains(said, "/var/lib/shadowsync is deleted") {
			t.Errorf("a purge that was told to delete the state says:\n%s", said)
		}
		if left := m.Shell("ls -d /etc/shadowsync /run/shadowsync /var/lib/shadowsync 2>/dev/null; debconf-show shadowsync"); left.Stdout != "" {
			t.Errorf("a purge that was told to delete the state leaves %s", left)
		}
		works(t, m, "purged with the state", "Gneis-Trubador-87")
	})
}

func difference(before, after string) string {
	var b strings.Builder
	had := map[string]bool{}
	for line := range strings.Lines(before) {
		had[line] = true
	}
	for line := range strings.Lines(after) {
		if !had[line] {
			b.WriteString("+ " + line)
		}
		delete(had, line)
	}
	for line := range strings.Lines(before) {
		if had[line] {
			b.WriteString("- " + line)
		}
	}
	return b.String()
}
