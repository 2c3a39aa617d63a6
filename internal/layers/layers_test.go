package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/shadowsync/shadowsync"

// forTests are the packages that no program may have in it.
var forTests = []string{"internal/machine", "internal/scenes", "internal/layers", "internal/readme", "internal/testreport"}

// forShell are the internal packages that the shell stands on: what it says to the
// broker, and how. It reads and writes nothing of the system's itself.
var forShell = []string{"internal/operator", "internal/printable", "internal/since", "internal/socket"}

// judge tells why a package of the module may not import another; "" if it may.
// What is not beneath the module has no layer.
func judge(from, to string) string {
	inside := strings.HasPrefix(to, module+"/")
	from, to = strings.TrimPrefix(from, module+"/"), strings.TrimPrefix(to, module+"/")
	switch {
	case !inside && beneath(from, "shadowsync") && !standard(to):
		return "the domain stands on the standard library alone"
	case !inside && from == "internal/printable" && !standard(to):
		return "printable stands on the standard library alone, for everything stands on it"
	case !inside:
		return ""
	case beneath(to, "cmd"):
		return "nothing stands on a program"
	case beneath(from, "shadowsync"):
		return "the domain stands on the standard library alone"
	case from == "internal/printable":
		return "printable stands on the standard library alone, for everything stands on it"
	case beneath(from, "systemd") && to != "shadowsync" && to != "internal/printable":
		return "systemd stands on shadowsync and internal/printable alone"
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

// standard: only the standard library's paths have no dot in their first element.
func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".") && name != "C"
}

// list returns what each package of the module imports, tests left out.
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
			if why := judge(from, to); why != "" {
				t.Errorf("%s imports %s: %s", from, to, why)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		from, to string
		may      bool
	}{
		{"cmd/shadowsync", module + "/systemd", true},
		{"cmd/shadowsync", module + "/internal/broker", true},
		{"cmd/shadowsync", module + "/internal/machine", false},
		{"internal/broker", module + "/systemd", true},
		{"internal/broker", module + "/shadowsync", true},
		{"internal/broker", module + "/cmd/shadowsync", false},
		{"internal/scenes/demo", module + "/internal/machine", true},
		{"internal/setup", module + "/internal/scenes", false},
		{"cmd/pcli", module + "/pcli", true},
		{"internal/broker", module + "/pcli", false},
		{"systemd", module + "/pcli", false},
		{"pcli", module + "/pcli/grammar", true},
		{"pcli", module + "/internal/operator", true},
		{"pcli/console", module + "/shadowsync", true},
		{"pcli", module + "/internal/config", false},
		{"pcli", module + "/systemd", false},
		{"systemd", module + "/shadowsync", true},
		{"systemd", module + "/internal/printable", true},
		{"systemd", module + "/internal/config", false},
		{"systemd", "golang.org/x/sys/unix", true},
		{"internal/printable", "unicode/utf8", true},
		{"internal/printable", module + "/internal/config", false},
		{"shadowsync", "errors", true},
		{"shadowsync", "golang.org/x/sys/unix", false},
		{"shadowsync", "C", false},
		{"shadowsync", module + "/internal/printable", false},
		{"shadowsync", module + "/systemd", false},
	} {
		if why := judge(module+"/"+test.from, test.to); (why == "") != test.may {
			t.Errorf("%s imports %s: %q, want it allowed: %v", test.from, test.to, why, test.may)
		}
	}
}
