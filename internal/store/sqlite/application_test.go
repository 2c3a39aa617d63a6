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

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

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
	if at := got.Accounts["none"].ChangedAt; at.UnixMilli() != 1000 {
		t.Errorf("untouched: %v", at)
	}
	if at := got.Accounts["full"].ChangedAt; time.Since(at).Abs() > time.Minute {
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
	if got.Accounts["a"].Credential != a || got.Accounts["b"].Credential != shadowsync.NoAgeing() {
		t.Errorf("%+v", got.Accounts)
	}
}

func TestLockedByAnother(t *testing.T) {
	s, _ := fresh(t)
	create(t, s, sample())
	for _, lock := range []string{"BEGIN; SELECT count(*) FROM credential", "BEGIN IMMEDIATE"} {
		db, err := sql.Open("sqlite3", address(t, s))
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
		if !errors.Is(err, shadowsync.ErrUnavailable) || time.Since(start) > patience/2 {
			t.Errorf("%s: %v after %v", lock, err, time.Since(start))
		}
		if err := errors.Join(rows.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := s.Read(t.Context(), []string{"full"})
		if err != nil || got.Accounts["full"].Credential != sample()["full"] {
			t.Errorf("%s: afterwards %+v, %v", lock, got, err)
		}
	}
}

// TestGroup: an application with another uid reads through its group, even while a journal exists,
// and cannot write.
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

// TestMain lets the test binary run as an application with another uid.
func TestMain(m *testing.M) {
	if path := os.Getenv(readerFile); path != "" {
		fmt.Print(read(path))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// read does what the package comment tells applications to do, and then more.
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

func address(t testing.TB, s *Store) string {
	t.Helper()
	address, err := "", s.enter()
	if err == nil {
		address, err = s.dsn(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return address
}
