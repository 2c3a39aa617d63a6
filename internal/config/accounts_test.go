package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	// A caller that has the configuration may read only the lists again, whatever happened to the
	// text.
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

// TestListsFollowTheirApplications: under their old names they would belong to no application.
func TestListsFollowTheirApplications(t *testing.T) {
	application := func(name, unit string, accounts ...string) string {
		return fmt.Sprintf("[[application]]\nname = %q\nunit = %q\naccounts = [\"%s\"]\n", name, unit, strings.Join(accounts, `", "`))
	}
	for name, c := range map[string]struct {
		lists  map[string]string
		text   string
		former map[string]string
		want   string // the lists afterwards
	}{
		"renamed":         {map[string]string{"a": "new"}, application("b", "a.service", "admin"), map[string]string{"b": "a"}, "b: new"},
		"no list":         {map[string]string{"c": "new"}, application("b", "a.service", "admin"), map[string]string{"b": "a"}, "c: new"},
		"both lists":      {map[string]string{"a": "new", "b": "later new"}, application("b", "a.service", "admin"), map[string]string{"b": "a"}, "b: later new"},
		"in the file now": {map[string]string{"a": "new admin"}, application("b", "a.service", "admin"), map[string]string{"b": "a"}, "b: new"},
		"exchanged": {
			map[string]string{"a": "new", "b": "later"},
			application("b", "a.service", "admin") + application("a", "b.service", "user"),
			map[string]string{"b": "a", "a": "b"},
			"a: later, b: new",
		},
		"exchanged, one list": {
			map[string]string{"a": "new"},
			application("b", "a.service", "admin") + application("a", "b.service", "user"),
			map[string]string{"b": "a", "a": "b"},
			"b: new",
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, path := t.TempDir(), "/shadowsync.toml"
			if err := errors.Join(os.WriteFile(filepath.Join(root, path), []byte(c.text), 0o600), os.Mkdir(filepath.Join(root, "accounts.d"), 0o755)); err != nil {
				t.Fatal(err)
			}
			for application, names := range c.lists {
				if err := os.WriteFile(filepath.Join(root, ListPath(path, application)), []byte(strings.ReplaceAll(names, " ", "\n")+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before, err := Load(root, path)
			if err != nil {
				t.Fatal(err)
			}
			seen, err := before.Follow(root, c.former, false)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := Load(root, path); err != nil || again.Revision != before.Revision {
				t.Errorf("a look wrote something (%v)", err)
			}
			followed, err := before.Follow(root, c.former, true)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Load(root, path)
			if err != nil || again.Revision != followed.Revision || seen.Revision != followed.Revision {
				t.Errorf("what is on the disk is something else (%v)", err)
			}
			lists, err := Lists(root, path)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, list := range lists {
				data, err := os.ReadFile(filepath.Join(root, list))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, strings.TrimSuffix(filepath.Base(list), ".list")+": "+strings.Join(namesOf(data), " "))
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("the lists are %q, want %q", got, c.want)
			}
		})
	}
}
