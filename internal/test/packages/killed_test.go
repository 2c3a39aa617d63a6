package packages

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// What dpkg is told, first and after the power came back. That it cannot go on by itself with a package that was
// being unpacked is dpkg's own rule: the same command again can.
const (
	installing = "dpkg --install /packages/shadowsync.deb"
	upgrading  = "dpkg --install /packages/shadowsync.deb /packages/shadowsync-pcli.deb"
	removing   = "dpkg --remove shadowsync-pcli shadowsync"
	purging    = "dpkg --purge shadowsync-pcli shadowsync"
)

// goesOn has dpkg go on as it says itself, and then finish a command.
func goesOn(t *testing.T, m *machine.T, command string) {
	t.Helper()
	m.Shell("dpkg --configure --pending")
	if said := m.Shell(command); said.Code != 0 {
		t.Errorf("%s: %s", command, said)
	}
	if said := m.Run("dpkg", "--audit"); said.Code != 0 || said.Stdout != "" {
		t.Errorf("dpkg is not done: %s", said)
	}
}

// The machine loses its power at each step of dpkg: an upgrade from the former packages with a change pending, a
// removal without its program, a removal, a purge, an installation. When it is on again, everybody gets in, and dpkg
// goes on.
func TestMachineKilled(t *testing.T) {
	onEachReleaseWithFormer(t, func(t *testing.T, m *machine.T) {
		guest(m)
		m.MustShell(install + " /former/shadowsync.deb /former/shadowsync-pcli.deb")
		p := settle(t, m)
		m.MustShell(breakStore)
		p.password = "Trubador-Gneis-82"
		if said := passwdSays(m, "user222", p.password); !strings.Contains(said, "NOT persisted") {
			t.Errorf("without its store, passwd says %s", said)
		}
		waits := m.ShadowHash("user222")
		killedAtEachStep(t, m, upgrading, func(t *testing.T, twin *machine.T) { p.upgraded(t, twin, waits) })
		m.MustShell(mendStore + "; shadowsync sync")
		alone := m.Twin(t)
		alone.PowerOn()
		alone.MustShell("mv /usr/sbin/shadowsync /root")
		killedAtEachStep(t, alone, removing, p.removedAlone)
		killedAtEachStep(t, m, removing, p.removed)
		killedAtEachStep(t, m, purging, p.purged)
		killedAtEachStep(t, m, installing, p.installed)
		p.getIn(t, m, "after all that")
	})
}

// upgraded: whoever has a second factor has shown it all the same, and the change that waits is not lost.
func (p people) upgraded(t *testing.T, twin *machine.T, waits string) {
	p.getIn(t, twin, "killed in an upgrade")
	if !asked(twin) {
		t.Error("ssh does not ask for a code any more")
	}
	goesOn(t, twin, upgrading)
	twin.MustShell(mendStore)
	twin.WaitFor("all is in sync", machine.Patience, func() bool { return twin.Shell("shadowsync sync && shadowsync status --check").Code == 0 })
	if twin.StoreHash("user222") != waits || twin.ShadowHash("user222") != waits {
		t.Error("the change that waited during the upgrade is lost")
	}
	if twin.StoreHash("admin") != twin.ShadowHash("admin") {
		t.Error("the change of a password before the upgrade went on is lost")
	}
}

// removed: nothing is left of a removal that goes on.
func (p people) removed(t *testing.T, twin *machine.T) {
	p.getIn(t, twin, "killed in a removal")
	goesOn(t, twin, removing)
	gone(t, twin)
	twin.Must("test", "-s", machine.ConfigurationPath)
}

// removedAlone: without their program the scripts remove the PAM lines, and until then user222, whose code nobody
// can check, is refused.
func (p people) removedAlone(t *testing.T, twin *machine.T) {
	works(t, twin, "killed in a removal without the program", "Trubador-Gneis-83")
	console(t, twin, "killed in a removal without the program")
	goesOn(t, twin, removing)
	if left := twin.Shell("grep -r '^[^#]*pam_shadowsync' /etc/pam.d; grep pcli /etc/passwd"); left.Stdout != "" {
		t.Errorf("a removal without the program leaves %s", left.Stdout)
	}
	if !twin.Login("user222", p.password) {
		t.Error("a removal without the program: user222 cannot log in")
	}
}

func gone(t *testing.T, m *machine.T) {
	t.Helper()
	left := m.Shell("grep -rs '^[^#]*pam_shadowsync' /etc/pam.d; grep pcli /etc/passwd /etc/shells; ls -d /etc/ssh/sshd_config.d/10-shadowsync.conf /usr/sbin/shadowsync /usr/bin/pcli /etc/systemd/system/*/*shadowsync* 2>/dev/null")
	if left.Stdout != "" {
		t.Errorf("a removal leaves %s", left.Stdout)
	}
}

func (p people) purged(t *testing.T, twin *machine.T) {
	p.getIn(t, twin, "killed in a purge")
	goesOn(t, twin, purging)
	gone(t, twin)
	if left := twin.Shell("ls -d /etc/shadowsync /run/shadowsync 2>/dev/null"); left.Stdout != "" {
		t.Errorf("a purge leaves %s", left.Stdout)
	}
}

func (p people) installed(t *testing.T, twin *machine.T) {
	p.getIn(t, twin, "killed in an installation")
	goesOn(t, twin, installing)
}
