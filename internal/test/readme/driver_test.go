package readme

import (
	"encoding/json"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mostFiles is how many files a new driver may touch.
const mostFiles = 5

// TestDriverInAnAfternoon does the steps of CONTRIBUTING.md's example, without writing them into the tree, and
// runs the tests of what comes out.
func TestDriverInAnAfternoon(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a driver")
	}
	_, section, _ := strings.Cut(read(t, "CONTRIBUTING.md"), "\n## A driver in an afternoon\n")
	section, _, _ = strings.Cut(section, "\n## ")
	files := map[string]string{} // what a step gives the file that it names
	steps := strings.Split(section, "\n**")[1:]
	for i, step := range steps {
		named := regexp.MustCompile("`([a-zA-Z_/]+\\.(?:go|md))`").FindStringSubmatch(step)
		if named == nil {
			t.Fatalf("step %d names no file", i+1)
		}
		_, block, _ := strings.Cut(step, "\n```go\n")
		block, _, _ = strings.Cut(block, "\n```\n")
		files[named[1]] = block
	}
	if len(files) != len(steps) || len(files) > mostFiles {
		t.Errorf("%d steps touch %d files, at most %d may be: %v", len(steps), len(files), mostFiles, files)
	}
	for name := range files {
		if strings.HasPrefix(name, "internal/") && !strings.HasPrefix(name, "internal/store/") {
			t.Errorf("the example touches %s", name)
		}
	}
	const registry, driver = "internal/store/registry.go", "internal/store/columns/columns.go"
	files[registry] = registered(t, read(t, registry), files[registry])
	if !strings.Contains(files[driver], "package columns") {
		t.Fatalf("the example has no driver: %q", files[driver])
	}
	passes(t, files, "internal/store/columns", t.TempDir())
	passes(t, files, "internal/store", filepath.Join(top, "internal/store"))
}

// passes compiles the tests of a package of the tree with the files, and runs them in a folder.
func passes(t *testing.T, files map[string]string, name, folder string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tests")
	compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-trimpath", "-buildmode=pie", "-o", program, "-overlay", overlay(t, files), "./"+name)
	compile.Dir = top
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	run := exec.CommandContext(t.Context(), program, "-test.v")
	run.Dir = folder
	if out, err := run.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: Test") {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

// registered is the registry with the line of the example and its import.
func registered(t *testing.T, registry, line string) string {
	t.Helper()
	if !strings.Contains(line, "columns.Driver") {
		t.Fatalf("%q registers nothing", line)
	}
	if strings.Contains(registry, line) {
		return registry // somebody did the steps in the tree
	}
	const table, imports = "map[string]driver.Driver{\n", "\t\"github.com/shadowsync/shadowsync/internal/store/driver\"\n"
	if strings.Count(registry, table) != 1 || strings.Count(registry, imports) != 1 {
		t.Fatalf("cannot put %q into the registry", line)
	}
	registry = strings.Replace(registry, table, table+line+"\n", 1)
	registry = strings.Replace(registry, imports, "\t\"github.com/shadowsync/shadowsync/internal/store/columns\"\n"+imports, 1)
	if formatted, err := format.Source([]byte(registry)); err != nil || string(formatted) != registry {
		t.Errorf("the line does not stand as gofmt wants it: %q, %v", line, err)
	}
	return registry
}

// overlay is a file that tells go build to see the Go files as if they were in the tree.
func overlay(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	folder, replaced := t.TempDir(), map[string]string{}
	for name, text := range files {
		if filepath.Ext(name) != ".go" {
			continue
		}
		copied := filepath.Join(folder, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(copied, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[filepath.Join(root, name)] = copied
	}
	text, err := json.Marshal(map[string]any{"Replace": replaced})
	path := filepath.Join(folder, "overlay.json")
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
