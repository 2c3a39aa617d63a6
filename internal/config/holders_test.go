package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const oneApplication = "[[application]]\nname = \"portal\"\nunit = \"portal.service\"\naccounts = [\"admin\", \"user\"]\nstart = \"refuse\"\n"

// TestHolders: each store is an entry of its own, and the first bears the application's name.
func TestHolders(t *testing.T) {
	more := "[[application]]\nunit = \"other.service\"\naccounts = [\"third\"]\n"
	for name, c := range map[string]struct {
		text string
		want string // name, store and driver of each holder
	}{
		"none":          {"", "portal:: sqlite"},
		"one table":     {"[application.store]\ndriver = \"json\"\n", "portal:: json"},
		"a list of one": {"[[application.store]]\ndriver = \"json\"\n", "portal:: json"},
		"named":         {"[application.store]\nstore_name = \"main\"\ndriver = \"json\"\n", "portal::main json"},
		"two":           {"[[application.store]]\ndriver = \"json\"\n[[application.store]]\nstore_name = \"roles\"\n", "portal:: json, portal.roles:roles:roles sqlite"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse([]byte(oneApplication + c.text + more))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			first, there := parsed.Application("portal.service")
			if !there || first.Name != "portal" {
				t.Fatalf("%+v", first)
			}
			for _, h := range parsed.Holders(first) {
				got = append(got, fmt.Sprintf("%s:%s:%s %s", h.Name, h.Further(), h.StoreName, h.Driver()))
				if h.Application() != "portal" || h.Unit != "portal.service" || !slices.Equal(h.Accounts, []string{"admin", "user"}) || h.Start != StartRefuse {
					t.Errorf("%+v", h)
				}
				if d := parsed.Domain(h); d.Store != h.Further() || d.Ending.Ends("pam") != h.First() {
					t.Errorf("%+v", d)
				}
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if all := parsed.Firsts(); len(all) != 2 || all[1].Name != "other" {
				t.Errorf("applications: %+v", all)
			}
			if a, managed := parsed.Managing("user"); !managed || a.Name != "portal" || len(parsed.ManagingAll("user")) != len(got) || parsed.ManagingAll("nobody") != nil {
				t.Errorf("managed by %+v", a)
			}
			if unit, one := parsed.Chosen("portal.service"), parsed.Chosen("portal"); len(unit) != len(got) || len(one) != 1 || parsed.Chosen("none") != nil {
				t.Errorf("chosen: %d by the unit, %d by the name", len(unit), len(one))
			}
		})
	}
}

func TestFaultsOfSeveralStores(t *testing.T) {
	const sqlite = "[[application.store]]\ndriver = \"sqlite\"\n"
	for name, c := range map[string]struct {
		text string
		says string
		line int
	}{
		"no name":        {sqlite + sqlite + "path = \"/other.db\"\n", "needs a store_name", 8},
		"the same name":  {sqlite + "store_name = \"a\"\n" + sqlite + "path = \"/other.db\"\nstore_name = \"a\"\n", `two stores have the store_name "a"`, 12},
		"the same store": {sqlite + sqlite + "store_name = \"a\"\n", "two of its stores are the same", 8},
		"no plain name":  {sqlite + sqlite + "path = \"/other.db\"\nstore_name = \"a b\"\n", "must be a name", 11},
		"no text":        {sqlite + "store_name = 3\n", "store_name = 3: must be a name", 8},
		"a name in use":  {sqlite + sqlite + "path = \"/other.db\"\nstore_name = \"b\"\n[[application]]\nname = \"portal.b\"\nunit = \"c.service\"\naccounts = [\"x\"]\n", "used twice", 14},
		"no table":       {"store = 3\n", "application.store", 6},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, "c.toml"), []byte(oneApplication+c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(root, "/c.toml")
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), fmt.Sprintf("line %d:", c.line)) {
				t.Errorf("%v, want line %d: %s", err, c.line, c.says)
			}
		})
	}
}

// TestStoreFaultOfSeveral: the fault of a further store is in its own table.
func TestStoreFaultOfSeveral(t *testing.T) {
	c, err := Parse([]byte(oneApplication + "[[application.store]]\ndriver = \"json\"\n[[application.store]]\nstore_name = \"roles\"\ndriver = \"jsn\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	c.path, c.text = "c.toml", []byte(oneApplication+"[[application.store]]\ndriver = \"json\"\n[[application.store]]\nstore_name = \"roles\"\ndriver = \"jsn\"\n")
	if f := c.StoreFault(1, fmt.Errorf("wrong")); f.Line != 8 {
		t.Errorf("line %d of %q, want 8", f.Line, f.Key)
	}
	if f := c.ValueFault(1, "application.store.driver", "", fmt.Errorf("wrong")); f.Line != 10 {
		t.Errorf("line %d of %q, want 10", f.Line, f.Key)
	}
}

// TestListedAccountsOfSeveralStores: accounts that operators created are accounts of every store.
func TestListedAccountsOfSeveralStores(t *testing.T) {
	root, path := t.TempDir(), "/c.toml"
	text := oneApplication + "[[application.store]]\n[[application.store]]\nstore_name = \"roles\"\npath = \"/roles.db\"\n"
	if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := AddAccount(root, path, "portal", "new"); err != nil {
		t.Fatal(err)
	}
	c, err := Load(root, path)
	if err != nil {
		t.Fatal(err)
	}
	c = c.Keeping(map[string][]string{"portal": {"old"}})
	for _, h := range c.Applications {
		if !slices.Equal(h.Accounts, []string{"admin", "user", "old", "new"}) || !slices.Equal(h.Listed, []string{"new"}) {
			t.Errorf("%s: %q, listed %q", h.Name, h.Accounts, h.Listed)
		}
	}
}

// TestShares: a store may have the values of one before it, of the same scheme.
func TestShares(t *testing.T) {
	store := func(name, more string) string {
		return fmt.Sprintf("[[application.store]]\nstore_name = %q\ndriver = \"sqlite\"\npath = \"/%s.db\"\n%s\n", name, name, more)
	}
	for name, c := range map[string]struct {
		text string
		want string // the lender, or what is wrong
	}{
		"the first":     {store("role", "") + store("list", `shares = "role"`), "portal"},
		"another":       {store("role", "") + store("other", "") + store("list", `shares = "other"`), "portal.other"},
		"none":          {store("role", "") + store("list", ""), ""},
		"one after it":  {store("role", "") + store("list", `shares = "last"`) + store("last", ""), "must be the store_name of a store before it"},
		"itself":        {store("role", "") + store("list", `shares = "list"`), "must be the store_name of a store before it"},
		"no text":       {store("role", "") + store("list", `shares = true`), "must be the store_name of a store before it"},
		"other formats": {store("role", `formats = ["bcrypt"]`) + store("list", `shares = "role"`), "that store has another value of formats"},
		"a chain":       {store("role", "") + store("list", `shares = "role"`) + store("last", `shares = "list"`), `that store has the values of "role" itself`},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse([]byte(oneApplication + c.text))
			if err != nil {
				if c.want == "" || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %s", err, c.want)
				}
				return
			}
			last := parsed.Applications[len(parsed.Applications)-1]
			if lender, lent := parsed.Lender(last); lender.Name != c.want || lent != (c.want != "") || parsed.Domain(last).Lender != c.want {
				t.Errorf("lent by %q, want %q", lender.Name, c.want)
			}
		})
	}
}
