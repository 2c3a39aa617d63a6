package packages

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	"github.com/shadowsync/shadowsync/internal/test/machine/base"
)

// examine runs a script in the tree with the programs that examine packages; the packages are in its folder.
// It returns what the script prints, whatever its status is.
func examine(t *testing.T, script string) string {
	t.Helper()
	need(t)
	return examineIn(t, dist, script)
}

// examineIn is examine with another folder than that of the packages. The script does not change it.
func examineIn(t *testing.T, folder, script string) string {
	t.Helper()
	machine.Need(t)
	tree, err := base.Open(t.Context(), base.Kind{Release: base.Bookworm, Layer: base.Examiners}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if folder, err = filepath.Abs(folder); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	command := tree.Inside(t.Context(), t.TempDir(), []base.Bind{{Host: folder, Inside: "/examined"}}, "/bin/sh", "-c", "cd /examined && "+script)
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		t.Logf("%s: %v", script, err)
	}
	return out.String()
}

// lintian has nothing to say that an override does not explain, and the overrides are needed.
func TestLintian(t *testing.T) {
	t.Parallel()
	said := examine(t, "lintian --allow-root --tag-display-limit 0 --display-info *.deb; echo status $?")
	if said != "status 0\n" {
		for line := range strings.Lines(said) {
			if !strings.HasPrefix(line, "I: ") && line != "status 0\n" {
				t.Errorf("lintian says: %s", line)
			}
		}
	}
	for _, deb := range names {
		if !strings.Contains(examine(t, "dpkg-deb --contents "+deb+"_*_amd64.deb"), "/usr/share/lintian/overrides/"+deb+"\n") {
			t.Errorf("%s has no overrides: lintian has looked at something else", deb)
		}
	}
}

// unimportant are rpmlint's tags about what does not apply: a distribution's own conventions (signature, change
// log, group, compression, the spelling of licences), and programs that are closed on purpose.
var unimportant = regexp.MustCompile(`: E: (no-signature|no-changelogname-tag|non-standard-executable-perm /usr/sbin/shadowsync(-web)? 711|non-readable /usr/sbin/shadowsync(-web)? 711|no-binary)\b`)

func TestRPMLint(t *testing.T) {
	t.Parallel()
	said := examine(t, "rpmlint *.x86_64.rpm *.aarch64.rpm")
	if !strings.Contains(said, "6 packages and 0 specfiles checked") {
		t.Fatalf("rpmlint says:\n%s", said)
	}
	for line := range strings.Lines(said) {
		if strings.Contains(line, ": E: ") && !unimportant.MatchString(line) {
			t.Errorf("rpmlint says: %s", line)
		}
	}
}

// nfpm computes no dependencies. What the ELF headers need is what the packages require.
func TestRPMRequires(t *testing.T) {
	t.Parallel()
	tool := unpacked(t, file(t, built(t), "shadowsync_*_amd64.deb"))
	require := examine(t, "rpm -qRp shadowsync-[0-9]*.x86_64.rpm")
	for _, path := range []string{"/usr/sbin/shadowsync", "/usr/lib/x86_64-linux-gnu/security/pam_shadowsync.so"} {
		libraries := regexp.MustCompile(`NEEDED\s+(\S+)`).FindAllStringSubmatch(run(t, "objdump", "--private-headers", tool+path), -1)
		if len(libraries) < 2 {
			t.Errorf("%s needs only %q", path, libraries)
		}
		for _, library := range libraries {
			if !strings.Contains(require, library[1]+"(") {
				t.Errorf("%s needs %s, and the package requires only\n%s", path, library[1], require)
			}
		}
	}
	if packager := examine(t, "rpm -qp --queryformat '%{packager}\n' *.rpm | sort -u"); packager != run(t, "dpkg-deb", "--field", file(t, dist, "shadowsync_*_amd64.deb"), "Maintainer") {
		t.Errorf("the maintainer of the RPMs is %s", packager)
	}
	if list := examine(t, "rpm -qlp shadowsync-[0-9]*.x86_64.rpm"); !strings.Contains(list, "/usr/lib64/security/pam_shadowsync.so\n") || !strings.Contains(list, "/etc/shadowsync\n") || strings.Contains(list, "\n/usr\n") {
		t.Errorf("the package has:\n%s", list)
	}
}

// Both AppArmor profiles are in the language of apparmor.d(5). No kernel loads them here: nothing is enforced.
func TestAppArmor(t *testing.T) {
	t.Parallel()
	const profiles = "../../admin/packages/apparmor"
	for _, name := range []string{"pcli", "shadowsync-web"} {
		parsed := func(edit string) bool {
			said := examineIn(t, profiles, "sed '"+edit+"' "+name+" | apparmor_parser --skip-kernel-load --skip-cache; echo status $?")
			return strings.Contains(said, "status 0\n")
		}
		if !parsed("") {
			t.Errorf("apparmor_parser refuses the profile %s", name)
		}
		for _, edit := range []string{"s/ rw,/ rQ,/", "s/signal (receive)/signal (hear)/", "s/^}//", "s/seqpacket/seqpaket/"} {
			if parsed(edit) {
				t.Errorf("%s passes after %s", name, edit)
			}
		}
	}
	if list := examine(t, "dpkg-deb --contents shadowsync-pcli_*_amd64.deb; dpkg-deb --contents shadowsync-web_*_amd64.deb; rpm -qlp *.x86_64.rpm"); strings.Count(list, "/apparmor/extra-profiles/") != 4 ||
		strings.Contains(list, "/apparmor.d/") || !strings.Contains(list, "/usr/share/shadowsync/authselect/make-profile\n") || !strings.Contains(list, "/usr/share/shadowsync/selinux/shadowsync.te\n") {
		t.Errorf("the packages have:\n%s", list)
	}
}
