package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config/key"
)

const twoApplications = `[node]
name = "node1"

[[application]]
unit     = "a.service"
accounts = ["admin"]

[[application]]
unit     = "b.service"
accounts = [
	"user",
	"other",
]
[application.store]
driver = "json"
`

// write puts a configuration at /c.toml of a new root, and returns the root.
func write(t *testing.T, text string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "c.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestFaultsHaveAPlace(t *testing.T) {
	for _, tt := range []struct {
		old, new string
		line     int
		key      string
	}{
		{`name = "node1"`, `name = node1`, 2, "node.name"},
		{`name = "node1"`, "name = \"node1\"\ncolour = 1", 3, "node.colour"},
		{`[node]`, `[nodes]`, 1, "nodes"},
		{`name = "node1"`, `name = 5`, 2, "node.name"},
		{`name = "node1"`, `name = "a b"`, 2, "node.name"},
		{`name = "node1"`, "name = \"node1\"\naset = \"x\"", 3, "node.aset"},
		{`unit     = "a.service"`, "unit = \"a.service\"\nstart = 5", 6, "application.start"},
		{"\n\n[[application]]\nunit     = \"b", "\nstart = 5\n\n[[application]]\nstart = \"refuse\"\nunit = \"b", 7, "application.start"},
		{`unit     = "a.service"`, "unit = \"a.service\"\nstore = 5", 6, "application.store"},
		{`unit     = "a.service"`, "rules = \"os\"\nunit = \"a.service\"", 5, "application.rules"},
		{`unit     = "a.service"`, "rules.admin = 5\nunit = \"a.service\"", 5, "application.rules.admin"},
		{twoApplications, "application = [\n {unit = 'a.service', accounts = ['a']},\n {unit = 'b.service', acounts = ['b']},\n]\n", 3, "application.acounts"},
		{`"b.service"`, "\"b.service\"\nacounts = []", 10, "application.acounts"},
		{`"admin"`, `"admin", 5`, 6, "application.accounts"},
		{`"other"`, `"admin"`, 12, "application.accounts"},
		{`"other"`, `"a b"`, 12, "application.accounts"},
		{`"b.service"`, `"b.mount"`, 9, "application.unit"},
		{`"b.service"`, `"a.service"`, 9, "application.unit"},
		{`"b.service"`, "\"b.service\"\nstart = \"never\"", 10, "application.start"},
		{`"b.service"`, "\"b.service\"\ncolour = \"red\"", 10, "application.colour"},
		{`"b.service"`, "\"b.service\"\nrules = {nobody = 'os'}", 10, "application.rules.nobody"},
		{`driver = "json"`, `driver = 5`, 15, "application.store.driver"},
		{twoApplications, "", 0, ""},
	} {
		root := write(t, strings.Replace(twoApplications, tt.old, tt.new, 1))
		_, err := Load(root, "/c.toml")
		var fault *Fault
		if !errors.As(err, &fault) {
			t.Errorf("%q: %v is no fault", tt.new, err)
			continue
		}
		if fault.File != "/c.toml" || fault.Line != tt.line || fault.Key != tt.key {
			t.Errorf("%q: %s, line %d, key %q, want line %d, key %q (%v)", tt.new, fault.File, fault.Line, fault.Key, tt.line, tt.key, err)
		}
	}
	if _, err := Load(write(t, twoApplications), "/c.toml"); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

// TestStoreFaultsHaveAPlace: a key of the second application's store is found in that application.
func TestStoreFaultsHaveAPlace(t *testing.T) {
	text := strings.Replace(twoApplications, "[[application]]\nunit     = \"b", "[application.store]\ndriver = \"sqlite\"\n\n[[application]]\nunit     = \"b", 1)
	c, err := Load(write(t, text+"drivr = 1\n"), "/c.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		err  error
		line int
		key  string
	}{
		{key.Unknown("drivr", nil), 19, "application.store.drivr"},
		{key.Bad("driver", "no such store"), 18, "application.store.driver"},
		{key.Missing("path"), 17, "application.store"},
	} {
		if fault := c.StoreFault(1, tt.err); fault.Line != tt.line || fault.Key != tt.key {
			t.Errorf("%v: line %d, key %q, want line %d, key %q", tt.err, fault.Line, fault.Key, tt.line, tt.key)
		}
	}
}

func TestKept(t *testing.T) {
	root, folder := write(t, twoApplications), "/state"
	if err := os.Mkdir(filepath.Join(root, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Kept(root, folder, "/c.toml"); !errors.Is(err, ErrNotFound) {
		t.Errorf("before any was kept: %v", err)
	}
	if err := AddAccount(root, "/c.toml", "a", "new"); err != nil {
		t.Fatal(err)
	}
	good, err := Load(root, "/c.toml")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := good.Keep(root, folder); err != nil || !good.IsKept(root, folder) {
			t.Fatalf("not kept: %v", err)
		}
	}
	for _, spoil := range []struct {
		what string
		do   func() error
	}{
		{"as it was", func() error { return nil }},
		{"file gone", func() error { return os.Remove(filepath.Join(root, "c.toml")) }},
		{"list with an account of another application", func() error { return AddAccount(root, "/c.toml", "a", "user") }},
		{"lists unreadable", func() error { return os.Chmod(filepath.Join(root, "accounts.d/a.list"), 0o666) }},
	} {
		if err := spoil.do(); err != nil {
			t.Fatal(err)
		}
		kept, err := Kept(root, folder, "/c.toml")
		if err != nil {
			t.Errorf("%s: %v", spoil.what, err)
			continue
		}
		if a, ok := kept.Managing("new"); !ok || a.Name != "a" || len(kept.Applications) != 2 || kept.KeptAt.IsZero() {
			t.Errorf("%s: kept %+v", spoil.what, kept.Applications)
		}
	}
	if _, err := Kept(root, folder, "/other.toml"); !errors.Is(err, ErrNotFound) {
		t.Errorf("another file's: %v", err)
	}
	for range 2 {
		if err := Forget(root, folder, "/c.toml"); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(root, folder)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestKeptOfAKeptOne: a kept copy in the file's place does not bring back an account that was
// removed since.
func TestKeptOfAKeptOne(t *testing.T) {
	root, folder := write(t, twoApplications+keptMark+"a: gone\n"), "/state"
	if err := os.Mkdir(filepath.Join(root, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := AddAccount(root, "/c.toml", "b", "new"); err != nil {
		t.Fatal(err)
	}
	c, err := Load(root, "/c.toml")
	if err == nil {
		err = c.Keep(root, folder)
	}
	if err == nil {
		err = os.Chmod(filepath.Join(root, "accounts.d/b.list"), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	kept, err := Kept(root, folder, "/c.toml")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := kept.Managing("gone"); ok {
		t.Error("it manages an account that is in no list")
	}
	if _, ok := kept.Managing("new"); !ok {
		t.Error("it does not manage the one of the list")
	}
}
