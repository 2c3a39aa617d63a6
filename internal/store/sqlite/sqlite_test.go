package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
	db, err := sql.Open("sqlite3", (&Store{path: path}).dsn(t.Context()))
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

// sample are credentials that differ in every field.
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
	if err != nil || len(got.Records) != len(want) {
		t.Fatal(got, err)
	}
	for name, c := range want {
		r := got.Records[name]
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
		if got.Records[name].Credential != c {
			t.Errorf("%s is %+v, want %+v", name, got.Records[name], c)
		}
	}
}

func TestRevisionFollowsEveryWriter(t *testing.T) {
	s, path := fresh(t)
	create(t, s, sample())
	seen := map[string]string{}
	look := func(what string) {
		t.Helper()
		r, err := s.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[r]; ok {
			t.Errorf("%s has the revision of %s", what, before)
		}
		seen[r] = what
	}
	look("the start")
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"UPDATE credential SET password = 'x' WHERE name = 'full'",
		"UPDATE credential SET must_change = 1 WHERE name = 'none'",
		"INSERT INTO credential (name, password) VALUES ('new', 'x')",
		"REPLACE INTO credential (name, password) VALUES ('new', 'y')",
		"INSERT INTO credential (name, password) VALUES ('new', 'z') ON CONFLICT DO UPDATE SET password = excluded.password",
		"DELETE FROM credential WHERE name = 'new'",
	} {
		application(t, path, statement)
		look(statement)
	}
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	application(t, path, "UPDATE credential SET password = 'other' WHERE name = 'full'")
	look("a change after a backup was restored")
}

func TestChangedAtFollowsTheApplication(t *testing.T) {
	s, path := fresh(t)
	create(t, s, sample())
	application(t, path, "UPDATE credential SET changed_at = 1000")
	application(t, path, "PRAGMA recursive_triggers = ON; UPDATE credential SET password = 'x' WHERE name = 'full'")
	got, err := s.Read(t.Context(), []string{"full", "none"})
	if err != nil {
		t.Fatal(err)
	}
	if at := got.Records["none"].ChangedAt; at.UnixMilli() != 1000 {
		t.Errorf("untouched: %v", at)
	}
	if at := got.Records["full"].ChangedAt; time.Since(at).Abs() > time.Minute {
		t.Errorf("touched: %v", at)
	}
}

func TestWhatAnApplicationMaySay(t *testing.T) {
	s, path := fresh(t)
	application(t, path, `INSERT INTO credential (name, password, must_change, last_change) VALUES ('a', '!$6$x', 1, 20000);
		INSERT INTO credential (name, password) VALUES ('b', '')`)
	got, err := s.Read(t.Context(), []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	a := shadowsync.NoAgeing()
	a.Hash, a.Locked, a.MustChange = "$6$x", true, true
	if got.Records["a"].Credential != a || got.Records["b"].Credential != shadowsync.NoAgeing() {
		t.Errorf("%+v", got.Records)
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
		{"a day that is none", func(t *testing.T, path string) {
			application(t, path, "PRAGMA ignore_check_constraints = ON; UPDATE credential SET min_days = 'secret'")
		}, true},
		{"a day out of range", func(t *testing.T, path string) {
			application(t, path, "PRAGMA ignore_check_constraints = ON; UPDATE credential SET expire_day = -5")
		}, true},
		{"an enormous password", func(t *testing.T, path string) {
			application(t, path, "PRAGMA ignore_check_constraints = ON; UPDATE credential SET password = hex(zeroblob(5000))")
		}, true},
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

func TestLockedByAnother(t *testing.T) {
	s, _ := fresh(t)
	create(t, s, sample())
	for _, lock := range []string{"BEGIN; SELECT count(*) FROM credential", "BEGIN IMMEDIATE"} {
		db, err := sql.Open("sqlite3", s.dsn(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		for _, statement := range strings.Split(lock, "; ") {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := db.Query("SELECT name FROM credential") // holds its read lock while open
		if err != nil || !rows.Next() {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		start := time.Now()
		w := shadowsync.Write{Name: "full", Expect: sample()["full"], Want: sample()["none"]}
		_, err = s.Write(ctx, []shadowsync.Write{w})
		cancel()
		if !errors.Is(err, shadowsync.ErrUnavailable) || time.Since(start) > time.Second {
			t.Errorf("%s: %v after %v", lock, err, time.Since(start))
		}
		if err := errors.Join(rows.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := s.Read(t.Context(), []string{"full"})
		if err != nil || got.Records["full"].Credential != sample()["full"] {
			t.Errorf("%s: afterwards %+v, %v", lock, got, err)
		}
	}
}

func TestWatch(t *testing.T) {
	s, path := fresh(t)
	changed, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	application(t, path, "INSERT INTO credential (name, password) VALUES ('a', 'b')")
	select {
	case <-changed:
	case <-time.After(2 * time.Second):
		t.Error("the change was not noticed")
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
		{"unknown", with("", map[string]any{"grup": "x"}), `unknown key "grup"`},
		{"a number", with("", map[string]any{"group": 5}), `"group" must be a string`},
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

// TestGroup: an application with another uid reads through its group, also
// while a journal lies there, and cannot write.
func TestGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	top, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	root := filepath.Join(top, "root")
	if err := errors.Join(os.Chmod(top, 0o755), os.MkdirAll(filepath.Join(root, "etc"), 0o755)); err != nil {
		t.Fatal(err)
	}
	overwrite(t, filepath.Join(root, "etc/group"), "root:x:0:\nconductor:x:4321:\n")
	o := driver.Options{Path: "/store/credentials.db", Root: root, Keys: map[string]any{"group": "conductor"}}
	if err := Driver.Prepare(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{"store": 0o750, "store/credentials.db": 0o640} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil || info.Mode().Perm() != mode || info.Sys().(*syscall.Stat_t).Gid != 4321 || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
	store, err := Driver.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	create(t, store.(*Store), sample())
	path := filepath.Join(root, "store/credentials.db")
	if got, want := asReader(t, path, 4321), "$y$x; attempt to write a readonly database"; got != want {
		t.Errorf("a member of the group: %q, want %q", got, want)
	}
	if got := asReader(t, path, 4322); !strings.Contains(got, "unable to open") {
		t.Errorf("a stranger: %q", got)
	}
	o.Keys["group"] = "nobody-here"
	if err := Driver.Prepare(t.Context(), o); err == nil {
		t.Error("a group that does not exist was taken")
	}
}

const readerFile = "SHADOWSYNC_TEST_READ"

// TestMain lets the test binary be an application with another uid.
func TestMain(m *testing.M) {
	if path := os.Getenv(readerFile); path != "" {
		fmt.Print(read(path))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// read is what the package comment tells applications to do, and then more.
func read(path string) string {
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		return err.Error()
	}
	defer db.Close()
	var password string
	if err := db.QueryRow("SELECT password FROM credential WHERE name = 'must'").Scan(&password); err != nil {
		return err.Error()
	}
	_, err = db.Exec("DELETE FROM credential")
	return fmt.Sprintf("%s; %v", password, err)
}

func asReader(t *testing.T, path string, gid uint32) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{readerFile + "=" + path}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: gid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

func BenchmarkStore(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		s, _ := fresh(b)
		var names []string
		all := make(map[string]shadowsync.Credential, n)
		for i := range n {
			names = append(names, fmt.Sprintf("user%06d", i))
			c := shadowsync.NoAgeing()
			c.Hash = fmt.Sprintf("$6$saltsalt$%086d", i)
			all[names[i]] = c
		}
		create(b, s, all)
		b.Run(fmt.Sprintf("Revision/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Revision(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("Read/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Read(b.Context(), names); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("Write/%d", n), func(b *testing.B) {
			for round := 0; b.Loop(); round++ {
				var writes []shadowsync.Write
				for name, c := range all {
					want := c
					want.Hash = fmt.Sprint("$6$", round)
					writes = append(writes, shadowsync.Write{Name: name, Expect: c, Want: want})
					all[name] = want
				}
				if left, err := s.Write(b.Context(), writes); err != nil || len(left) > 0 {
					b.Fatal(len(left), err)
				}
			}
		})
	}
}
