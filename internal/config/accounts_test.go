package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestListedAccounts(t *testing.T) {
	root, path := t.TempDir(), "/shadowsync.toml"
	text := "[[application]]\nname = \"app\"\nunit = \"a.service\"\naccounts = [\"admin\"]\n"
	if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() *Config {
		t.Helper()
		c, err := Load(root, path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := load()
	for range 2 {
		if err := AddAccount(root, path, "app", "new"); err != nil {
			t.Fatal(err)
		}
	}
	with := load()
	if a, ok := with.Managing("new"); !ok || !slices.Equal(a.Accounts, []string{"admin", "new"}) || !slices.Equal(a.Listed, []string{"new"}) {
		t.Errorf("accounts %q, listed %q", a.Accounts, a.Listed)
	}
	if with.Revision == before.Revision {
		t.Error("the revision did not move")
	}
	if err := RemoveAccount(root, path, "app", "new"); err != nil {
		t.Fatal(err)
	}
	if _, ok := load().Managing("new"); ok {
		t.Error("it is still managed")
	}
	if err := AddAccount(root, path, "app", "admin"); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root, path); err == nil {
		t.Error("an account that is managed twice was accepted")
	}
}
