package packages

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

var (
	commandLine   = regexp.MustCompile(`^    (\S.*?)(?:\s+# (.*))?$`)
	configuration = regexp.MustCompile("(?s)`(/etc/[^`]*)`.*?```toml\n(.*?)```")
)

// What README.md says under "Install" is done as it is written there, in the folder with the package alone. What
// a comment says of a command is what the command says.
func TestReadmeInstalls(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Install\n")
	section, _, _ = strings.Cut(section, "\n## ")
	written := configuration.FindStringSubmatch(section)
	if written == nil {
		t.Fatalf("README.md writes no configuration:\n%s", section)
	}
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		deb := file(t, dist, "shadowsync_*_amd64.deb")
		m.CopyIn(deb, filepath.Join("/root/packages", filepath.Base(deb)), 0o644)
		said := map[string]bool{}
		for line := range strings.Lines(section) {
			if strings.HasPrefix(line, "```toml") {
				m.MustShell("test -d " + filepath.Dir(written[1]))
				m.WriteFile(written[1], written[2], 0o644)
			}
			command := commandLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if command == nil {
				continue
			}
			got := m.Input("Trubador-Gneis-82\nTrubador-Gneis-82\n").Shell("cd /root/packages && " + command[1])
			if want, says := strings.CutPrefix(command[2], "says: "); got.Code != 0 || says && !strings.Contains(got.Stdout+got.Stderr, want) {
				t.Errorf("%s: %s", command[1], got)
			}
			said[strings.Fields(command[1])[0]] = true
		}
		if !said["apt"] || !said["passwd"] || m.StoreHash("admin") != m.ShadowHash("admin") {
			t.Errorf("of README.md's commands ran %v", said)
		}
		m.Must("systemctl", "restart", machine.ApplianceUnit)
		if !m.Login("admin", "Trubador-Gneis-82") {
			t.Error("the password does not last")
		}
	})
}
