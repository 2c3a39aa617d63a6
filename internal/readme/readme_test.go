package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/sqlite"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// firstColumns returns the first cell of each row of the table beneath a head.
func firstColumns(t *testing.T, text, head string) []string {
	t.Helper()
	_, table, found := strings.Cut(text, "\n| "+head+" |")
	if !found {
		t.Fatalf("the README has no table %q", head)
	}
	var cells []string
	for i, line := range strings.Split(table, "\n") {
		if i < 2 { // the rest of the head, and the rule
			continue
		}
		cell, rest, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !isRow || rest == "" {
			break
		}
		cells = append(cells, cell)
	}
	return cells
}

// program builds the root tool, which is asked for its own help.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shadowsync")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "docs", "-o", path, "../../cmd/shadowsync")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// groups are commands that only hold others.
var groups = []string{
	"shadowsync", "shadowsync guard",
	"shadowsync user", "shadowsync user set", "shadowsync user reset", "shadowsync user expire",
}

// TestCommands compares with the man pages: there is one for each command, and each
// has the exit statuses.
func TestCommands(t *testing.T) {
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), program(t), "docs", "man", folder, folder).CombinedOutput(); err != nil {
		t.Fatalf("docs man: %v\n%s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(folder, "*.8"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no man pages: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(folder, "shadowsync-json.7")); err != nil || !strings.Contains(string(text), "last_change_day") {
		t.Errorf("the page of --json: %v", err)
	}
	var want []string
	for _, page := range pages {
		if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "a person must decide") {
			t.Errorf("%s has no exit statuses: %v", page, err)
		}
		command := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(page), ".8"), "-", " ")
		if !slices.Contains(groups, command) && !strings.HasPrefix(command, "shadowsync completion") {
			want = append(want, command)
		}
	}
	var told []string
	for _, cell := range firstColumns(t, read(t, "README.md"), "command") {
		told = append(told, strings.Trim(cell, "`"))
	}
	equal(t, "commands", told, want)
}

func TestExitStatuses(t *testing.T) {
	help, err := exec.CommandContext(t.Context(), program(t), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(help), "Exit status:\n")
	if !found {
		t.Fatalf("--help has no exit statuses:\n%s", help)
	}
	var want []string
	for line := range strings.Lines(table) {
		status, means, _ := strings.Cut(strings.TrimSpace(line), " ")
		want = append(want, status+" | "+strings.TrimSpace(means))
	}
	var told []string
	for row := range strings.Lines(read(t, "README.md")) {
		if cells := regexp.MustCompile(`^\| (\d+ \| .*) \|\n$`).FindStringSubmatch(row); cells != nil {
			told = append(told, cells[1])
		}
	}
	equal(t, "exit statuses", told, want)
}

// TestKeys: every key of the configuration is in the table, and nothing else but
// the stores' own keys.
func TestKeys(t *testing.T) {
	var told []string
	for _, cell := range firstColumns(t, read(t, "README.md"), "key") {
		for key := range strings.SplitSeq(cell, ", ") {
			if key = strings.Trim(key, "`"); !strings.HasPrefix(key, "application.store.") {
				told = append(told, key)
			}
		}
	}
	equal(t, "keys", told, keysOf(reflect.TypeFor[config.Config](), ""))
}

func keysOf(of reflect.Type, prefix string) []string {
	var keys []string
	for i := range of.NumField() {
		name, inner := of.Field(i).Tag.Get("toml"), of.Field(i).Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		switch {
		case name == "-" || !of.Field(i).IsExported() || prefix == "application." && name == "store": // its keys are the drivers'
		case inner.Kind() == reflect.Struct:
			keys = append(keys, keysOf(inner, prefix+name+".")...)
		default:
			keys = append(keys, prefix+name)
		}
	}
	return keys
}

// TestExamples: the configurations that the README shows are valid.
func TestExamples(t *testing.T) {
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(examples) == 0 {
		t.Fatal("the README shows no configuration")
	}
	for _, example := range examples {
		text := example[1]
		if !strings.Contains(text, "[[application]]") {
			text = "[[application]]\nunit = \"a.service\"\naccounts = [\"a\"]\n" + text
		}
		c, err := config.Parse([]byte(text))
		if err != nil {
			t.Errorf("%v in:\n%s", err, example[1])
			continue
		}
		for _, a := range c.Applications {
			if _, err := store.Parse(a.Store); err != nil {
				t.Errorf("%v in:\n%s", err, example[1])
			}
		}
	}
}

func TestStores(t *testing.T) {
	text := read(t, "README.md")
	for _, name := range store.Names() {
		if !strings.Contains(text, "\n**"+name+"**:") {
			t.Errorf("the README does not tell of the store driver %s", name)
		}
	}
}

func TestSchema(t *testing.T) {
	_, table, _ := strings.Cut(sqlite.Schema, "CREATE TABLE credential (")
	table, _, _ = strings.Cut(table, "\n);")
	var want []string
	for _, column := range regexp.MustCompile(`(?m)^  ([a-z_]+) +[A-Z]`).FindAllStringSubmatch(table, -1) {
		want = append(want, column[1])
	}
	var told []string
	for _, cell := range firstColumns(t, read(t, "README.md"), "column of `credential`") {
		for name := range strings.SplitSeq(cell, ", ") {
			told = append(told, strings.Trim(name, "`"))
		}
	}
	equal(t, "columns", told, want)
}

// TestTargets: what the documents tell to make can be made.
func TestTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, document := range []string{"README.md", "CONTRIBUTING.md"} {
		for _, match := range regexp.MustCompile("(?m)(?:^    |`)make ([a-z]+)").FindAllStringSubmatch(read(t, document), -1) {
			if !regexp.MustCompile(`(?m)^` + match[1] + `:`).MatchString(makefile) {
				t.Errorf("%s tells of make %s, which is not there", document, match[1])
			}
		}
	}
}

// TestLinks: what the documents point to is there.
func TestLinks(t *testing.T) {
	for _, document := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(read(t, document), -1) {
			if _, err := os.Stat(filepath.Join("../..", link[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}

func equal(t *testing.T, what string, told, want []string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatalf("no %s are found: the test looks at the wrong place", what)
	}
	for _, one := range want {
		if !slices.Contains(told, one) {
			t.Errorf("%s: the README does not tell of %q", what, one)
		}
	}
	for _, one := range told {
		if !slices.Contains(want, one) {
			t.Errorf("%s: the README tells of %q, which is not there", what, one)
		}
	}
}
