package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This test's Makefile installs two files, one of them under a symlink of the machine, so that the
// test does not depend on what the project builds.
const smallMakefile = `build:
	echo built >>built
install: build
	install -D -m 0644 built $(DESTDIR)/lib/shadowsync/file
	install -D -m 0755 built $(DESTDIR)$(PREFIX)/sbin/program
`

func TestInstallation(t *testing.T) {
	Need(t)
	project := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example\n", "Makefile": smallMakefile} {
		if err := os.WriteFile(filepath.Join(project, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(project)
	m := Boot(t, Trixie)
	before := m.Must("stat", "-c", "%n %a %F", "/", "/lib", "/usr/sbin")
	m.InstallShadowsync()
	if got := m.Must("stat", "-c", "%n %a %U", "/usr/sbin/program", "/usr/lib/shadowsync/file"); got != "/usr/sbin/program 755 root\n/usr/lib/shadowsync/file 644 root\n" {
		t.Errorf("installed: %s", got)
	}
	if after := m.Must("stat", "-c", "%n %a %F", "/", "/lib", "/usr/sbin"); after != before {
		t.Errorf("folders became:\n%swere:\n%s", after, before)
	}
	m.PowerOff()
	m.InstallShadowsync()
	if built := m.ReadFile("/usr/sbin/program"); strings.Count(built, "built") > 2 {
		t.Errorf("built again for a second installation: %q", built)
	}
}
