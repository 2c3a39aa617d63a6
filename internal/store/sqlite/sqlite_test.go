package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func options(path string) driver.Options { return driver.Options{Driver: "sqlite", Path: path} }

// fresh makes an empty store.
func fresh(t testing.TB) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own", "a b?c%41.db")
	if err := Driver.Prepare(t.Context(), options(path)); err != nil {
		t.Fatal(err)
	}
	return open(t, path), path
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Driver.Open(t.Context(), options(path))
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Store)
}

// application runs SQL as an application does, on a connection of its own.
func application(t testing.TB, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite3", address(t, &Store{path: path}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, s *Store, credentials map[string]shadowsync.Credential) {
	t.Helper()
	var writes []shadowsync.Write
	for name, c := range credentials {
		writes = append(writes, shadowsync.Write{Name: name, Want: c, Create: true})
	}
	if left, err := s.Write(t.Context(), writes); err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
}

// sample returns credentials that differ in every field.
func sample() map[string]shadowsync.Credential {
	full := shadowsync.Credential{Hash: "$6$s$h", Locked: true, LastChange: 20000, Min: 0, Max: 99999, Warn: 7, Inactive: 3, Expire: 21000}
	must := shadowsync.NoAgeing()
	must.Hash, must.MustChange = "$y$x", true
	none := shadowsync.NoAgeing()
	none.Hash = "*"
	return map[string]shadowsync.Credential{"full": full, "must": must, "none": none, "empty": shadowsync.NoAgeing()}
}

func TestEveryFieldComesBack(t *testing.T) {
	s, _ := fresh(t)
	want := sample()
	start := time.Now().Add(-time.Second)
	create(t, s, want)
	got, err := s.Read(t.Context(), []string{"full", "must", "none", "empty", "nobody"})
	if err != nil || len(got.Accounts) != len(want) {
		t.Fatal(got, err)
	}
	for name, c := range want {
		r := got.Accounts[name]
		if r.Credential != c {
			t.Errorf("%s is %+v, want %+v", name, r.Credential, c)
		}
		if r.ChangedAt.Before(start) || r.ChangedAt.After(time.Now().Add(time.Second)) {
			t.Errorf("%s changed at %v", name, r.ChangedAt)
		}
	}
	if revision, err := s.Revision(t.Context()); err != nil || revision != got.Revision {
		t.Errorf("Revision gives %q, %v; Read gave %q", revision, err, got.Revision)
	}
}

func TestWriteIsCompareAndSwap(t *testing.T) {
	s, _ := fresh(t)
	present := sample()
	create(t, s, present)
	changed := func(name string, change func(*shadowsync.Credential)) shadowsync.Credential {
		c := present[name]
		change(&c)
		return c
	}
	other := changed("full", func(c *shadowsync.Credential) { c.Warn = 8 })
	newHash := func(c *shadowsync.Credential) { c.Hash = "$6$new" }
	left, err := s.Write(t.Context(), []shadowsync.Write{
		{Name: "full", Expect: other, Want: other},
		{Name: "must", Expect: present["must"], Want: changed("must", newHash)},
		{Name: "none", Want: present["none"], Create: true},
		{Name: "nobody", Expect: other, Want: other},
		{Name: "empty", Expect: present["empty"], Want: changed("empty", func(c *shadowsync.Credential) { c.Hash = "\xff" })},
		{Name: "", Want: other, Create: true},
	})
	var refused *shadowsync.RefusedError
	if err != nil || len(left) != 5 ||
		!errors.Is(left["full"], shadowsync.ErrChanged) || !errors.Is(left["none"], shadowsync.ErrChanged) ||
		!errors.Is(left["nobody"], shadowsync.ErrNoAccount) || !errors.As(left["empty"], &refused) || !errors.As(left[""], &refused) {
		t.Errorf("left alone: %v, %v", left, err)
	}
	present["must"] = changed("must", newHash)
	got, err := s.Read(t.Context(), []string{"full", "must", "none", "empty"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range present {
		if got.Accounts[name].Credential != c {
			t.Errorf("%s is %+v, want %+v", name, got.Accounts[name], c)
		}
	}
}

func TestMalformed(t *testing.T) {
	tests := []struct {
		name    string
		spoil   func(t *testing.T, path string)
		atWrite bool
	}{
		{"another file", func(t *testing.T, path string) { overwrite(t, path, strings.Repeat("no database", 100)) }, true},
		{"another database", func(t *testing.T, path string) { application(t, path, "PRAGMA user_version = 0") }, true},
		{"a newer schema", func(t *testing.T, path string) { application(t, path, "PRAGMA user_version = 2") }, true},
		{"no table", func(t *testing.T, path string) { application(t, path, "DROP TABLE credential") }, true},
		{"no revision", func(t *testing.T, path string) { application(t, path, "DELETE FROM revision") }, true},
		{"100 MB", func(t *testing.T, path string) {
			application(t, path, "PRAGMA ignore_check_constraints = ON; UPDATE credential SET password = hex(zeroblob(50000000)) WHERE name = 'full'")
		}, true},
		{"a mode for others", func(t *testing.T, path string) {
			if err := os.Chmod(path, 0o666); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a link", func(t *testing.T, path string) {
			if err := errors.Join(os.Rename(path, path+".x"), os.Symlink(path+".x", path)); err != nil {
				t.Fatal(err)
			}
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, path := fresh(t)
			create(t, s, sample())
			tt.spoil(t, path)
			_, errRead := s.Read(t.Context(), []string{"full"})
			_, errWrite := s.Write(t.Context(), []shadowsync.Write{{Name: "full", Expect: sample()["full"], Want: sample()["none"]}})
			for _, err := range []error{errRead, errWrite} {
				if !errors.Is(err, shadowsync.ErrMalformed) || strings.Contains(fmt.Sprint(err), "secret") {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// TestMalformedRow: a row that the schema does not allow does not fail the others.
func TestMalformedRow(t *testing.T) {
	for name, spoilt := range map[string]string{
		"a day that is none":   "min_days = 'secret'",
		"a day out of range":   "expire_day = -5",
		"an enormous password": "password = hex(zeroblob(5000))",
	} {
		t.Run(name, func(t *testing.T) {
			s, path := fresh(t)
			create(t, s, sample())
			application(t, path, "PRAGMA ignore_check_constraints = ON; UPDATE credential SET "+spoilt+" WHERE name = 'full'")
			got, err := s.Read(t.Context(), []string{"full", "must"})
			if why := got.Malformed["full"]; err != nil || why == "" || strings.Contains(why, "secret") || len(got.Accounts) != 1 {
				t.Errorf("read %+v, %v", got, err)
			}
			must := sample()["must"]
			moved := must
			moved.Hash = "$y$new"
			left, err := s.Write(t.Context(), []shadowsync.Write{
				{Name: "full", Expect: sample()["full"], Want: must}, {Name: "must", Expect: must, Want: moved},
			})
			if err != nil || !errors.Is(left["full"], shadowsync.ErrMalformed) || len(left) != 1 {
				t.Errorf("left alone %v, %v", left, err)
			}
			if got, err := s.Read(t.Context(), []string{"must"}); err != nil || got.Accounts["must"].Hash != "$y$new" {
				t.Errorf("read %+v, %v", got, err)
			}
		})
	}
}

func overwrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMissingIsNotMadeAnew(t *testing.T) {
	s, path := fresh(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err := s.Read(t.Context(), nil)
	if !errors.Is(err, shadowsync.ErrUnavailable) || !errors.Is(err, unix.ENOENT) || err.Error() != "no such file or directory" {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

func TestPrepareTwiceKeepsWhatIsThere(t *testing.T) {
	s, path := fresh(t)
	create(t, s, sample())
	before, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := Driver.Prepare(t.Context(), options(path)); err != nil {
		t.Fatal(err)
	}
	if after, err := s.Revision(t.Context()); err != nil || after != before {
		t.Errorf("was %q, is %q: %v", before, after, err)
	}
	info, err := os.Stat(path)
	folder, errFolder := os.Stat(filepath.Dir(path))
	if err != nil || errFolder != nil || info.Mode().Perm() != 0o600 || folder.Mode().Perm() != 0o700 {
		t.Errorf("%v %v %v %v", info.Mode(), folder.Mode(), err, errFolder)
	}
}

func TestUnsafeFolder(t *testing.T) {
	s, path := fresh(t)
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revision(t.Context()); !errors.Is(err, shadowsync.ErrMalformed) {
		t.Errorf("%v", err)
	}
}

func TestConfigure(t *testing.T) {
	with := func(path string, keys map[string]any) driver.Options {
		return driver.Options{Driver: "sqlite", Path: path, Keys: keys}
	}
	group := map[string]any{"group": "daemon"}
	tests := []struct {
		name    string
		options driver.Options
		says    string
	}{
		{"defaults", with("", nil), ""},
		{"a group and a path", with("/var/lib/shadowsync-x/credentials.db", group), ""},
		{"a group at the default path", with("", group), `"group" needs a "path" in a folder of its own`},
		{"a group beside the state", with("/var/lib/shadowsync/x.db", group), "is for root alone"},
		{"a group beneath it", with("/var/lib/shadowsync/x/x.db", group), "is for root alone"},
		{"unknown", with("", map[string]any{"grup": "x"}), `unknown key "grup", did you mean "group"`},
		{"a number", with("", map[string]any{"group": 5}), `group must be a string`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Driver.Validate(tt.options)
			if tt.says == "" && err != nil || tt.says != "" && !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("Validate says %v", err)
			}
		})
	}
	if s, err := configure(driver.Options{}); err != nil || s.path != DefaultPath {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDelete(t *testing.T) {
	s, _ := fresh(t)
	present := sample()
	create(t, s, present)
	before, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := present["full"]
	other.Warn++
	for _, tt := range []struct {
		name   string
		expect shadowsync.Credential
		why    error
	}{{"full", other, shadowsync.ErrChanged}, {"full", present["full"], nil}, {"full", present["full"], shadowsync.ErrNoAccount}} {
		left, err := s.Write(t.Context(), []shadowsync.Write{{Name: tt.name, Expect: tt.expect, Delete: true}})
		if err != nil || !errors.Is(left[tt.name], tt.why) || (left[tt.name] != nil) != (tt.why != nil) {
			t.Errorf("left alone: %v, %v; want %v", left, err, tt.why)
		}
	}
	got, err := s.Read(t.Context(), []string{"full", "must"})
	if _, there := got.Accounts["full"]; err != nil || there || len(got.Accounts) != 1 {
		t.Errorf("the store holds %v, %v", got.Accounts, err)
	}
	if got.Revision == before {
		t.Error("the revision did not move")
	}
}
