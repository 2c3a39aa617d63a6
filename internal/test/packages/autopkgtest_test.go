package packages

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// debian/tests, run by Debian's own program as a distribution does (DEP-8), but on a machine that ends with the
// test: the restrictions hold, whatever the runner "null" knows of it.
func TestAutopkgtest(t *testing.T) {
	t.Parallel()
	need(t)
	sources := run(t, "git", "-C", top, "archive", "HEAD:internal/admin/packages", "debian")
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := machine.BootWith(t, release, machine.Options{Layer: machine.Tester})
			bring(t, m, dist, "/packages")
			// debian/files is there once the packages are built. The machine has no network for the archives of its own.
			m.Input(sources).MustShell("mkdir /source && tar --extract --directory /source && touch /source/debian/files && rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*")
			said := m.Shell("autopkgtest --ignore-restrictions=breaks-testbed,isolation-container /packages/*.deb /source/ -- null 2>&1")
			if said.Code != 0 || !strings.Contains(said.Stdout, "\nlife                 PASS\n") {
				t.Errorf("autopkgtest: %s", said)
			}
		})
	}
}
