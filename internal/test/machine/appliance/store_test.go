package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func around(users string) string {
	return `{"big":9007199254740993,"datastore":{"config":{"authority":{"router":[{"name":"r","user":` + users + `}]}}}}`
}

func TestSetChangesMemoryAndFileAndNothingElse(t *testing.T) {
	path := written(t, around(`[{"name":"admin","password":"old","x":[1e3]},{"name":"b","password":"kept"}]`))
	s, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	if answer := answer(s, []string{"set", "admin", "new"}); answer != "ok\n" {
		t.Errorf("set: %q", answer)
	}
	if list := answer(s, []string{"list"}); list != "admin new\nb kept\n" {
		t.Errorf("list: %q", list)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{`"password": "new"`, "9007199254740993", "1e3", `"password": "kept"`} {
		if !strings.Contains(string(text), kept) {
			t.Errorf("the file lacks %s:\n%s", kept, text)
		}
	}
	if answer := answer(s, []string{"set", "nobody", "new"}); !strings.HasPrefix(answer, "error: ") {
		t.Errorf("set of an unknown user: %q", answer)
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := map[string]string{
		"no JSON":          `{"datastore":`,
		"no users":         `{"datastore":{}}`,
		"no router":        `{"datastore":{"config":{"authority":{"router":[]}}}}`,
		"users no list":    around(`{"admin":{}}`),
		"a user no object": around(`["admin"]`),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := load(written(t, text)); err == nil {
				t.Error("loaded")
			}
		})
	}
}
