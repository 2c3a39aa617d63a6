package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store"
)

// TestStoreDrivers: every driver is listed, on every terminal, with what it holds.
func TestStoreDrivers(t *testing.T) {
	var list driverList
	execute(t, t.Context(), "", "store", "drivers", "--json").object(t, &list)
	table := execute(t, t.Context(), "", "store", "drivers")
	var names []string
	for _, d := range list.Drivers {
		names = append(names, d.Name)
		if d.Stores == "" || d.Placement == "" || !slices.Contains(d.Fields, "hash") || !strings.Contains(table.out, "\n"+d.Name+" ") {
			t.Errorf("%+v in\n%s", d, table.out)
		}
	}
	if table.status != 0 || !slices.Equal(names, store.Names()) {
		t.Errorf("lists %v, want %v", names, store.Names())
	}
}

// TestStoreTest: each failure is named with the next command, no value changes and none is shown.
func TestStoreTest(t *testing.T) {
	const file = "/srv/appliance/users.json"
	for _, tt := range []struct {
		name   string
		spoil  func(s *system)
		status int
		says   []string // in this order
	}{
		{"all is well", func(*system) {}, 0, []string{
			"Store conductor (json):", "ok", "read", "2 accounts found", "scheme", "rights", "compare", "write", "written as found, and read back", "5 checks: 0 failed",
		}},
		{"another format is configured", func(s *system) {
			s.write("/etc/shadowsync/shadowsync.toml", 0o600, testConfig+"formats = [\"bcrypt\"]\n")
		}, 1, []string{"FAIL  scheme", `not a value of the "formats" of crypt(3): that of admin, user222 (it could be of the format sha256crypt`, "fix it with: editor", "2 checks: 1 failed"}},
		{"an account is missing", func(s *system) {
			s.write(file, 0o600, `{"user": [{"name": "admin", "password": "`+s.hash("old")+`"}]}`)
		}, 1, []string{"FAIL  read", "has no account user222", "ok    write", "1 account written as found"}},
		{"no JSON", func(s *system) { s.write(file, 0o600, `{"user": `) }, 1, []string{"FAIL  read", "make it whole", "1 check: 1 failed"}},
		{"no file", func(s *system) {
			if err := os.Remove(s.path(file)); err != nil {
				t.Fatal(err)
			}
		}, 1, []string{"FAIL  read", "no such file", "fix it with: ls -ld", "1 check: 1 failed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSystem(t)
			tt.spoil(s)
			before, _ := os.ReadFile(s.path(file))
			r := s.must(tt.status, "store", "test")
			rest := r.out
			for _, want := range tt.says {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("it does not say %q in this place:\n%s", want, r.out)
				}
				rest = after
			}
			if after, _ := os.ReadFile(s.path(file)); string(after) != string(before) {
				t.Errorf("the store was changed:\n%s", after)
			}
			if strings.Contains(r.out+r.err, "$5$") {
				t.Errorf("it shows a hash:\n%s%s", r.out, r.err)
			}
		})
	}
}

// TestStoreTestOnAnAccount: an account that is not managed gets another value, and its own back.
func TestStoreTestOnAnAccount(t *testing.T) {
	const file = "/srv/appliance/users.json"
	s := newSystem(t)
	text := strings.Replace(s.read(file), `[`, `[{"name": "scratch", "password": "`+s.hash("x")+`"}, `, 1)
	s.write(file, 0o600, text)
	r := s.must(0, "store", "test", "conductor", "--account", "scratch")
	for _, want := range []string{"scratch has a new value, and read back", "scratch has its old value again, and read back"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("it does not say %q:\n%s", want, r.out)
		}
	}
	if s.read(file) != text {
		t.Error("the value was not put back")
	}
	s.must(2, "store", "test", "--account", "admin") // is managed
	s.must(1, "store", "test", "--account", "nobody")
	s.must(5, "store", "test", "another")
	if s.read(file) != text {
		t.Error("the store was changed")
	}
	// The first of several stores goes by the name of the application.
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, strings.Replace(testConfig, "[application.store]", "[[application.store]]", 1)+"[[application.store]]\nstore_name = \"other\"\ndriver = \"json\"\npath = \"/srv/appliance/other.json\"\nusers = \"/user\"\nname = \"name\"\npassword = \"password\"\n")
	if r := s.must(0, "store", "test", "conductor", "--account", "scratch"); strings.Count(r.out, "Store ") != 1 {
		t.Errorf("it tries other stores:\n%s", r.out)
	}
}
