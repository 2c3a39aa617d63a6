package setup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// elsewhere is the result of make install PREFIX=/usr/local as an archive. It is built in a copy of
// the project, because the other tests use the build in this one.
func elsewhere(t *testing.T) string {
	t.Helper()
	project, stage, archive := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "local.tar")
	for _, words := range [][]string{
		{"sh", "-c", "cd ../../.. && cp -r Makefile go.mod go.sum cmd docs internal pcli shadowsync systemd " + project},
		{"make", "-C", project, "install", "DESTDIR=" + stage, "PREFIX=/usr/local"},
		{"tar", "--create", "--owner=0", "--group=0", "--directory", stage, "--file", archive, "."},
	} {
		c := exec.CommandContext(t.Context(), words[0], words[1:]...)
		c.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", words, err, out)
		}
	}
	return archive
}

// worksElsewhere: installed only under another prefix, shadowsync can be set up and works as under
// /usr.
func worksElsewhere(t *testing.T, m *machine.T) {
	t.Helper()
	m.MustShell("rm -f /usr/sbin/shadowsync /usr/bin/pcli /usr/lib/systemd/system/shadowsync* /usr/lib/*/security/pam_shadowsync.so")
	m.CopyIn(elsewhere(t), "/root/local.tar", 0o600)
	m.MustShell("tar --extract --directory=/ --no-overwrite-dir --keep-directory-symlink --file /root/local.tar && systemctl daemon-reload")
	const tool = "/usr/local/sbin/shadowsync"
	m.Must(tool, "setup", "--unit", "128T", "--account", "admin", "--store", "sqlite")
	m.Must(tool, "doctor")
	if left := m.Shell("grep -r /usr/sbin/shadowsync /etc/systemd /usr/local/lib/systemd"); left.Code != 1 {
		t.Errorf("what is not there is named: %s", left)
	}
	m.Must("grep", "-x", "/usr/local/bin/pcli", "/etc/shells")
	said := m.Input("Trubador-Gneis-81\nTrubador-Gneis-81\n").Run("passwd", "admin")
	if !strings.Contains(said.Stdout+said.Stderr, "shadowsync: admin: persisted") {
		t.Errorf("passwd says: %s", said)
	}
	m.Must("systemctl", "restart", machine.ApplianceUnit)
	if again := m.Must(tool, "setup"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("the second setup says:\n%s", again)
	}
}
