package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/shadowsync/shadowsync"

// forTests are the packages that no program may contain.
var forTests = []string{"internal/test/machine", "internal/test/scenes", "internal/test/layers", "internal/test/eventually", "internal/test/race", "internal/test/readme", "internal/test/testreport", "internal/test/packages", "internal/engine/enginetest", "internal/store/storetest"}

// forShell are the internal packages that the shell may import: for its requests to the
// broker, and for its output. The shell itself reads and writes nothing of the system.
var forShell = []string{"internal/factor/guide", "internal/factor/qr", "internal/wire/operator", "internal/term/exit", "internal/term/plural", "internal/term/printable", "internal/term/since", "internal/term/table", "internal/term/typo", "internal/wire/socket"}

// forPage are the internal packages that the page may import: it asks the broker by shadowsync/web, as the
// application's own GUI can, and reads and writes nothing of the system.
var forPage = []string{"internal/factor/guide", "internal/factor/qr", "internal/password/generate", "internal/term/exit", "internal/term/plural", "internal/term/printable", "internal/term/since"}

// forSystemd are the internal packages that the package systemd may import.
var forSystemd = []string{"internal/term/printable", "internal/files/durable"}

// objection returns why a package of the module may not import another; "" if it may.
// Packages of other modules have no layer.
func objection(from, to string) string {
	inside := strings.HasPrefix(to, module+"/")
	from, to = strings.TrimPrefix(from, module+"/"), strings.TrimPrefix(to, module+"/")
	switch {
	case !inside && beneath(from, "shadowsync") && !standard(to):
		return "the domain stands on the standard library alone"
	case !inside && from == "internal/term/printable" && !standard(to):
		return "printable stands on the standard library alone, for everything stands on it"
	case to == "net/http" && !beneath(from, "cmd/shadowsync-web") && !beneath(from, "internal/test"):
		return "only the page speaks HTTP: all that is linked is in the memory of the daemon and of its workers"
	case !inside:
		return ""
	case beneath(to, "cmd") && !(beneath(from, "cmd/shadowsync-web") && beneath(to, "cmd/shadowsync-web")):
		return "nothing stands on a program"
	case beneath(from, "cmd/shadowsync-web") && !beneath(to, "cmd/shadowsync-web") && !beneath(to, "shadowsync") && !anyBeneath(to, forPage):
		return "the page asks the broker, and stands on what that takes alone"
	case from == "shadowsync/web":
		if to != "shadowsync" && to != "internal/wire/socket" {
			return "the interface for pages stands on the domain and on sockets alone"
		}
	case beneath(from, "shadowsync"):
		return "the domain stands on the standard library alone"
	case from == "internal/term/printable":
		return "printable stands on the standard library alone, for everything stands on it"
	case from == "internal/files/durable":
		return "durable stands on no other package, for systemd stands on it"
	case beneath(from, "systemd") && to != "shadowsync" && !slices.Contains(forSystemd, to):
		return "systemd stands on the domain and a few packages that stand on nothing else"
	case beneath(from, "pcli") && !anyBeneath(to, forShell) && !beneath(to, "pcli") && to != "shadowsync":
		return "the shell asks the broker, and stands on what that takes alone"
	case beneath(to, "pcli") && !beneath(from, "pcli") && !beneath(from, "cmd"):
		return "only programs stand on the shell"
	case anyBeneath(to, forTests) && !anyBeneath(from, forTests):
		return "it is for tests"
	}
	return ""
}

func beneath(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }

func anyBeneath(name string, folders []string) bool {
	for _, folder := range folders {
		if beneath(name, folder) {
			return true
		}
	}
	return false
}

// standard uses that only paths of the standard library have no dot in their first element.
func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".") && name != "C"
}

// list returns what each package of the module imports, without its tests.
func list(t *testing.T) map[string][]string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...")
	out, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("go list: %v\n%s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var one struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return imports
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		imports[one.ImportPath] = one.Imports
	}
}

func TestImportsPointDownwards(t *testing.T) {
	imports := list(t)
	for _, must := range []string{"cmd/shadowsync", "pcli", "systemd", "internal/engine", "shadowsync"} {
		if len(imports[path.Join(module, must)]) == 0 {
			t.Errorf("no imports of %s are seen: the test looks at the wrong place", must)
		}
	}
	for from, all := range imports {
		for _, to := range all {
			if why := objection(from, to); why != "" {
				t.Errorf("%s imports %s: %s", from, to, why)
			}
		}
	}
}

func TestObjections(t *testing.T) {
	for _, test := range []struct {
		from, to string
		may      bool
	}{
		{"cmd/shadowsync", module + "/systemd", true},
		{"cmd/shadowsync", module + "/internal/broker", true},
		{"cmd/shadowsync", module + "/internal/test/machine", false},
		{"internal/broker", module + "/systemd", true},
		{"internal/broker", module + "/shadowsync", true},
		{"internal/broker", module + "/cmd/shadowsync", false},
		{"internal/test/scenes/demo", module + "/internal/test/machine", true},
		{"internal/admin/setup", module + "/internal/test/scenes", false},
		{"cmd/pcli", module + "/pcli", true},
		{"internal/broker", module + "/pcli", false},
		{"cmd/shadowsync-web", module + "/cmd/shadowsync-web/page", true},
		{"cmd/shadowsync", module + "/cmd/shadowsync-web/page", false},
		{"cmd/shadowsync-web/page", module + "/shadowsync/web", true},
		{"cmd/shadowsync-web/page", module + "/internal/factor/qr", true},
		{"cmd/shadowsync-web/page", module + "/internal/config", false},
		{"cmd/shadowsync-web", module + "/internal/wire/operator", false},
		{"cmd/shadowsync-web/front", "net/http", true},
		{"internal/admin/doctor", "net/http", false},
		{"systemd", module + "/pcli", false},
		{"pcli", module + "/pcli/grammar", true},
		{"pcli", module + "/internal/wire/operator", true},
		{"pcli/console", module + "/shadowsync", true},
		{"pcli", module + "/internal/config", false},
		{"pcli", module + "/systemd", false},
		{"systemd", module + "/shadowsync", true},
		{"systemd", module + "/internal/term/printable", true},
		{"systemd", module + "/internal/config", false},
		{"systemd", module + "/internal/files/durable", true},
		{"systemd", module + "/internal/files/inroot", false},
		{"internal/files/durable", "golang.org/x/sys/unix", true},
		{"internal/files/durable", module + "/internal/files/inroot", false},
		{"systemd", "golang.org/x/sys/unix", true},
		{"internal/term/printable", "unicode/utf8", true},
		{"internal/term/printable", module + "/internal/config", false},
		{"shadowsync/web", module + "/shadowsync", true},
		{"shadowsync/web", module + "/internal/wire/socket", true},
		{"shadowsync/web", module + "/internal/wire/operator", false},
		{"shadowsync/web", "golang.org/x/sys/unix", false},
		{"shadowsync", "errors", true},
		{"shadowsync", "golang.org/x/sys/unix", false},
		{"shadowsync", "C", false},
		{"shadowsync", module + "/internal/term/printable", false},
		{"shadowsync", module + "/systemd", false},
	} {
		if why := objection(module+"/"+test.from, test.to); (why == "") != test.may {
			t.Errorf("%s imports %s: %q, want it allowed: %v", test.from, test.to, why, test.may)
		}
	}
}
