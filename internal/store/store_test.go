package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// table is the example of the documentation, as a TOML decoder returns it.
func table(change func(map[string]any)) map[string]any {
	t := map[string]any{
		"driver": "json", "path": "/var/lib/128technology/user-running.json",
		"users": "/datastore/config/authority/router/0/user", "name": "name", "password": "password",
	}
	change(t)
	return t
}

func TestParse(t *testing.T) {
	tests := []struct {
		name   string
		change func(map[string]any)
		says   string
	}{
		{"contract", func(map[string]any) {}, ""},
		{"embedded default", func(m map[string]any) { clear(m); m["driver"] = "sqlite" }, ""},
		{"formats", func(m map[string]any) { m["formats"] = []any{"sha512crypt", "yescrypt"} }, ""},
		{"no driver", func(m map[string]any) { delete(m, "driver") }, `"driver" is missing`},
		{"unknown driver", func(m map[string]any) { m["driver"] = "jsno" }, `unknown store driver "jsno"; there are ` + strings.Join(Names(), ", ")},
		{"unknown key", func(m map[string]any) { m["user"] = "x" }, `unknown key "user", did you mean "users"`},
		{"another driver's key", func(m map[string]any) { m["group"] = "x" }, `"group" is a key of the driver sqlite, not of json`},
		{"a key of several other drivers", func(m map[string]any) { m["ca"] = "/x" }, `"ca" is a key of the driver mysql-user, postgres-role, sql, not of json`},
		{"no path", func(m map[string]any) { delete(m, "path") }, `"path" is missing`},
		{"relative path", func(m map[string]any) { m["path"] = "x/y.json" }, `path = "x/y.json": must be absolute`},
		{"path with dots", func(m map[string]any) { m["path"] = "/x/../y.json" }, `must be absolute and plain`},
		{"path a number", func(m map[string]any) { m["path"] = int64(5) }, `path must be a string`},
		{"root is not for the configuration", func(m map[string]any) { m["root"] = "/" }, `unknown key "root"`},
		{"formats a string", func(m map[string]any) { m["formats"] = "sha512crypt" }, `formats must be a list of strings`},
		{"formats of numbers", func(m map[string]any) { m["formats"] = []any{int64(6)} }, `formats must be a list of strings`},
		{"unknown format", func(m map[string]any) { m["formats"] = []any{"sha512"} }, `formats: "sha512" must be `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(table(tt.change))
			if tt.says == "" && err != nil || tt.says != "" && !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("Parse says %v", err)
			}
		})
	}
}

func TestOptionsSurviveJSON(t *testing.T) {
	want, err := Parse(table(func(m map[string]any) { m["formats"] = []any{"bcrypt"} }))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Options
	if err := json.Unmarshal(raw, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v: %v", got, want, err)
	}
	s, err := Open(t.Context(), got)
	if err != nil {
		t.Fatal(err)
	}
	if formats := s.Capabilities().Formats; !slices.Equal(formats, shadowsync.Formats{"$2b$", "$2y$", "$2a$"}) {
		t.Errorf("formats are %v", formats)
	}
}

// TestFormatsHaveAllTheirPrefixes: htpasswd(1) and PHP write bcrypt as $2y$, older libraries as $2a$.
func TestFormatsHaveAllTheirPrefixes(t *testing.T) {
	o, err := Parse(table(func(m map[string]any) { m["formats"] = []any{"bcrypt", "SunMD5"} }))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := o.Accepted()
	if err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[string]bool{
		"$2b$13$x": true, "$2y$13$x": true, "$2a$13$x": true, "$md5$x": true, "$md5,rounds=9$x": true,
		"$2x$13$x": false, "$6$x": false, "$y$x": false,
	} {
		if accepted.Accept(hash) != want {
			t.Errorf("%s: accepted %v", hash, !want)
		}
	}
}

func TestDriversAreWhole(t *testing.T) {
	for _, name := range Names() {
		d, err := Find(name)
		if err != nil || d.Validate == nil || d.Prepare == nil || d.Open == nil || d.Fields&shadowsync.FieldHash == 0 {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// TestEveryDriverConforms: the tests of each package with a driver call the conformance suite.
func TestEveryDriverConforms(t *testing.T) {
	holding := func(pattern, text string) map[string]bool {
		found := map[string]bool{}
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(content), text) {
				found[filepath.Dir(file)] = true
			}
		}
		return found
	}
	with, tested := holding("*/*.go", " driver.Driver{"), holding("*/*_test.go", "storetest.Run(")
	if len(with) < 3 {
		t.Errorf("only %v have drivers", with)
	}
	for folder := range with {
		if !tested[folder] {
			t.Errorf("no test in %s calls storetest.Run", folder)
		}
	}
}
