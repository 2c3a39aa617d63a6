package storetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// Text is how an application spells its accounts in a file, and reads them.
type Text struct {
	Spell func(accounts map[string]string) string
	Parse func(text string) (accounts map[string]string)
	Spoil string // a text that the application does not read
}

// File makes a store that is one text file, in a new folder.
func File(t *testing.T, o driver.Options, of Text, accounts map[string]string) Store {
	t.Helper()
	o.Path = filepath.Join(t.TempDir(), "accounts")
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(o.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() map[string]string {
		t.Helper()
		text, err := os.ReadFile(o.Path)
		if err != nil {
			t.Fatal(err)
		}
		return of.Parse(string(text))
	}
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	save(of.Spell(accounts))
	return Store{
		Options: o,
		Held:    func(name string) (string, bool) { value, there := load()[name]; return value, there },
		Set: func(name, value string) {
			all := load()
			all[name] = value
			save(of.Spell(all))
		},
		Break: func() (mend func()) {
			rename(o.Path, o.Path+".away")
			return func() { rename(o.Path+".away", o.Path) }
		},
		Spoil: func() { save(of.Spoil) },
	}
}
