package jsonfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Fixture{Driver: Driver, Make: makeStore})
}

// makeStore makes a file that the test reads and writes with encoding/json.
func makeStore(t *testing.T, accounts map[string]string) storetest.Store {
	path := filepath.Join(t.TempDir(), "user.json")
	type user struct{ Name, Password string }
	load := func() (users map[string]user) {
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &users)
		}
		if err != nil {
			t.Error(err)
		}
		return users
	}
	save := func(users map[string]user) {
		text, err := json.Marshal(users)
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	users := map[string]user{}
	for name, password := range accounts {
		users[name] = user{name, password}
	}
	save(users)
	o := options(path, "")
	o.Keys["password"] = "Password"
	return storetest.Store{
		Options: o,
		Held:    func(name string) (string, bool) { u, there := load()[name]; return u.Password, there },
		Set: func(name, value string) {
			users := load()
			users[name] = user{name, value}
			save(users)
		},
		Break: func() (mend func()) {
			rename(t, path, path+".away")
			return func() { rename(t, path+".away", path) }
		},
		Spoil: func() {
			if err := os.WriteFile(path, []byte(`{"admin": `), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
