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
	// Whoever has the configuration may read the lists alone, whatever became of the text.
	if err := os.WriteFile(filepath.Join(root, path), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, had := range map[string]*Config{"before it was listed": before, "with it": with} {
		again, err := had.Relist(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := again.Managing("new"); !ok || !slices.Equal(a.Accounts, []string{"admin", "new"}) || again.Revision != with.Revision {
			t.Errorf("%s: accounts %q, revision like the file's: %v", name, a.Accounts, again.Revision == with.Revision)
		}
	}
	if _, ok := before.Managing("new"); ok {
		t.Error("the older configuration changed under its holder")
	}
	if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RemoveAccount(root, path, "app", "new"); err != nil {
		t.Fatal(err)
	}
	if again, err := with.Relist(root, path); err != nil || len(again.Applications[0].Accounts) != 1 || again.Revision != load().Revision {
		t.Errorf("taken off the list: %+v, %v", again, err)
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

func TestRemoveLists(t *testing.T) {
	root, path := t.TempDir(), "/etc/shadowsync.toml"
	if lists, err := Lists(root, path); err != nil || len(lists) != 0 {
		t.Errorf("without any: %q, %v", lists, err)
	}
	for _, application := range []string{"app", "other"} {
		if err := AddAccount(root, path, application, "new"); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"/etc/accounts.d/app.list", "/etc/accounts.d/other.list"}
	if lists, err := Lists(root, path); err != nil || !slices.Equal(lists, want) {
		t.Errorf("%q, %v, want %q", lists, err, want)
	}
	foreign := filepath.Join(root, "etc/accounts.d/mine")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return RemoveLists(root, path) },
		func() error { _, err := os.Stat(foreign); return err },
		func() error { return os.Remove(foreign) },
		func() error { return AddAccount(root, path, "app", "new") },
		func() error { return RemoveLists(root, path) },
		func() error { return RemoveLists(root, path) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(root, "etc")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
