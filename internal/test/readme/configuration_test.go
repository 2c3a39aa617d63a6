package readme

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/sqlite"
)

// TestKeys: the page of the configuration names every key of the validator and of each store
// driver, and the validator takes every key that the page names.
func TestKeys(t *testing.T) {
	var want []string
	for _, k := range config.Keys() {
		want = append(want, k.Name)
	}
	for _, k := range store.Keys() {
		want = append(want, "application.store."+k.Name)
	}
	for _, name := range store.Names() {
		driver, err := store.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range driver.Keys {
			want = append(want, "application.store."+k.Name)
		}
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| (.*) \\|$").FindAllStringSubmatch(read(t, "docs/configuration.md"), -1) {
		told = append(told, row[1])
		if cells := strings.Split(row[2], " | "); len(cells) != 4 || len(cells[3]) < 10 || cells[2] == "" {
			t.Errorf("%s has no default or no meaning: %q", row[1], row[2])
		}
	}
	equal(t, "keys", told, want)
	// The fields that the decoder knows: nothing checks a field without a description.
	fields := keysOf(reflect.TypeFor[config.Config](), "")
	for _, name := range append(fields, "node.nmae") {
		if slices.Contains(want, name) != slices.Contains(fields, name) {
			t.Errorf("%s is a key that the decoder takes, and nothing describes it", name)
		}
	}
	for _, name := range want {
		taken := !isUnknown(t, name) && isUnknown(t, name+"x")
		if !taken || !strings.HasPrefix(name, "application.store.") && !slices.Contains(fields, name) {
			t.Errorf("%s is described, and the configuration does not take it", name)
		}
	}
}

// isUnknown reports whether the validator calls a key unknown; complaints about its value do not count.
func isUnknown(t *testing.T, name string) bool {
	t.Helper()
	if inStore, ok := strings.CutPrefix(name, "application.store."); ok {
		for _, driver := range store.Names() {
			table := map[string]any{"driver": driver}
			if inStore != "driver" {
				table[inStore] = 5
			}
			if _, err := store.Parse(table); !strings.Contains(fmt.Sprint(err), "unknown key") {
				return false
			}
		}
		return true
	}
	text := name + " = 5\n"
	if inside, ok := strings.CutPrefix(name, "application."); ok {
		text = "[[application]]\n" + inside + " = 5\n"
	}
	_, err := config.Parse([]byte(text))
	return strings.Contains(fmt.Sprint(err), "unknown key")
}

// TestConfigurationPageIsCurrent: the page describes the keys with the validator's own
// descriptions.
func TestConfigurationPageIsCurrent(t *testing.T) {
	want := read(t, "docs/configuration.md")
	path := filepath.Join(t.TempDir(), "page.md")
	above, rest, _ := strings.Cut(want, "\n## `[node]`")
	_, below, _ := strings.Cut(rest, "<!-- end of keys -->")
	if err := os.WriteFile(path, []byte(above+"<!-- end of keys -->"+below), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program(t), "docs", "keys", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("docs/configuration.md is not what the keys are: run make docs (%v)", err)
	}
}

// TestManPageHasTheKeys: each key is a term of shadowsync.toml(5).
func TestManPageHasTheKeys(t *testing.T) {
	plain := strings.NewReplacer(`\-`, "-", `\fB`, "", `\fR`, "", `\f[]`, "", `\fC`, "").Replace(page(t, "shadowsync.toml.5"))
	for _, k := range config.Keys() {
		if !strings.Contains(plain, "\n.TP\n"+k.Name+"\n") {
			t.Errorf("shadowsync.toml(5) has no term %s", k.Name)
		}
	}
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

// TestExamples: the configurations that the documents show are valid.
func TestExamples(t *testing.T) {
	found := 0
	for _, document := range documents(t) {
		for _, example := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(read(t, document), -1) {
			found++
			text := example[1]
			if !strings.Contains(text, "[[application]]") {
				text = "[[application]]\nunit = \"a.service\"\naccounts = [\"a\"]\n" + text
			}
			c, err := config.Parse([]byte(text))
			if err != nil {
				t.Errorf("%s: %v in:\n%s", document, err, example[1])
				continue
			}
			for _, a := range c.Applications {
				if _, err := store.Parse(a.Store); err != nil {
					t.Errorf("%s: %v in:\n%s", document, err, example[1])
				}
			}
		}
	}
	if found < 2 {
		t.Errorf("only %d configurations are shown", found)
	}
}

// TestFirstExampleNamesAStore: a first configuration without a store, or a first command, would create a new store,
// and no application would be synced.
func TestFirstExampleNamesAStore(t *testing.T) {
	for document, first := range map[string]string{
		"README.md":       "(?s)```toml\n.*?```",
		"docs/install.md": `(?m)^    shadowsync setup (?:.*\\\n)*.*$`,
	} {
		example := regexp.MustCompile(first).FindString(read(t, document))
		if !regexp.MustCompile(`driver = "json"|--store json`).MatchString(example) || !regexp.MustCompile(`path ?= ?"?/var/lib/128technology/`).MatchString(example) {
			t.Errorf("%s: the first example is no appliance's: %q", document, example)
		}
	}
}

// TestStores: what a driver's stores are is told; docs/stores.md tells more, where there is more.
func TestStores(t *testing.T) {
	text := read(t, "docs/configuration.md")
	for _, name := range store.Names() {
		d, err := store.Find(name)
		if err != nil || d.Traits.Doc == "" || !strings.Contains(text, "driver = \""+name+"\"`\n\nThe store is "+d.Traits.Doc+".\n") {
			t.Errorf("docs/configuration.md does not tell of the store driver %s", name)
		}
	}
}

func TestSchemes(t *testing.T) {
	var told []string
	for _, cell := range firstColumns(t, "docs/stores.md", "scheme") {
		told = append(told, strings.Trim(cell, "`"))
	}
	equal(t, "schemes", told, scheme.Names())
}

func TestSchema(t *testing.T) {
	_, table, _ := strings.Cut(sqlite.Schema, "CREATE TABLE credential (")
	table, _, _ = strings.Cut(table, "\n);")
	var want []string
	for _, column := range regexp.MustCompile(`(?m)^  ([a-z_]+) +[A-Z]`).FindAllStringSubmatch(table, -1) {
		want = append(want, column[1])
	}
	var told []string
	for _, cell := range firstColumns(t, "docs/stores.md", "column of `credential`") {
		for name := range strings.SplitSeq(cell, ", ") {
			told = append(told, strings.Trim(name, "`"))
		}
	}
	equal(t, "columns", told, want)
}
