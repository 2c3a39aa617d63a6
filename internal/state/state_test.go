package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

const application = "conductor"

// children are the tasks of this test binary when it runs as a child process.
var children = map[string]func(dir string){
	"commit": commitForEver,
	"hold":   holdLock,
}

const childEnv = "SHADOWSYNC_STATE_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		children[what](os.Args[1])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child runs this test binary as another process.
func child(t testing.TB, what, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	t.Cleanup(func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

func openIn(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// run runs SQL without the package's own transactions.
func run(t testing.TB, db *DB, query string) {
	t.Helper()
	if _, err := db.conn.ExecContext(context.Background(), query); err != nil {
		t.Fatal(err)
	}
}

func accountName(i int) string { return fmt.Sprintf("user%06d", i) }

func sampleHash(seed string) string {
	return "$6$" + strings.Repeat("s", 16) + "$" + strings.Repeat("h", 86-len(seed)) + seed
}

func sampleCredential(i int) shadowsync.Credential {
	c := shadowsync.NoAgeing()
	c.Hash, c.LastChange, c.Min, c.Max, c.Warn = sampleHash(fmt.Sprint(i)), 20000, 0, 99999, 7
	return c
}

func samplePair(i int) shadowsync.Baseline {
	return shadowsync.Baseline{OS: sampleCredential(i), Store: shadowsync.Credential{Hash: sampleHash(fmt.Sprint(i))}}
}

// sampleTime varies, so that no two origins are equal.
func sampleTime(i int) time.Time { return time.Now().UTC().Add(time.Duration(i) * time.Microsecond) }

func sampleOrigin(i int, by shadowsync.SeenBy) shadowsync.Origin {
	uid, login := 0, 1000
	return shadowsync.Origin{
		At: sampleTime(i), SeenBy: by, By: "root", UID: &uid, Login: "jane", LoginUID: &login,
		Program: "passwd", PID: 4711 + i, Terminal: "/dev/pts/1", Unit: "session-4.scope", Session: "4",
	}
}

func sampleChange(account string, i int) shadowsync.Change {
	return shadowsync.Change{
		Account: account, State: shadowsync.Queued, Verdict: shadowsync.VerdictAdopt, OS: sampleCredential(i), Fields: shadowsync.FieldLocked,
		Origin: sampleOrigin(i, shadowsync.SeenByPAM), Since: sampleTime(i),
	}
}

func sampleTransition(account string, i int) shadowsync.Transition {
	origin, pair := sampleOrigin(i, shadowsync.SeenByPAM), samplePair(i)
	return shadowsync.Transition{
		Account: account, Baseline: &pair, Origin: &origin,
		Displaced: []shadowsync.Entry{{Baseline: samplePair(i - 1), Origin: origin, Replaced: sampleTime(i)}},
		Events:    sampleEvents(account, i),
		Logout:    &shadowsync.Logout{Account: account, Keep: "4", Origin: origin},
	}
}

func sampleEvents(account string, i int) []shadowsync.Event {
	return []shadowsync.Event{{
		At: sampleTime(i), Application: application, Account: account, Action: "adopted", Result: shadowsync.InSync,
		Winner: "os:$6$", Loser: "store:$6$", Origin: sampleOrigin(i, shadowsync.SeenByPAM),
	}}
}

func journal(t testing.TB, db *DB, changes ...shadowsync.Change) {
	t.Helper()
	if err := db.Journal(context.Background(), application, changes); err != nil {
		t.Fatal(err)
	}
}

func commit(t testing.TB, db *DB, transitions ...shadowsync.Transition) {
	t.Helper()
	if err := db.Commit(context.Background(), application, transitions); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, db *DB, names []string) shadowsync.Memory {
	t.Helper()
	m, err := db.Load(context.Background(), application, names)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fill commits a first baseline for n accounts; more may change each transition.
func fill(t testing.TB, db *DB, n int, more func(*shadowsync.Transition)) {
	t.Helper()
	batch := make([]shadowsync.Transition, n)
	for i := range batch {
		pair := samplePair(i)
		batch[i] = shadowsync.Transition{Account: accountName(i), Baseline: &pair}
		if more != nil {
			more(&batch[i])
		}
	}
	commit(t, db, batch...)
}

func TestWhatIsCommittedIsLoadedByAnotherConnection(t *testing.T) {
	dir := t.TempDir()
	db := openIn(t, dir)
	tr := sampleTransition("admin", 3)
	tr.Open = new(sampleChange("admin", 4))
	tr.Open.StoreHash, tr.Open.Reason = "SCRAM-SHA-256$4096:salt$key:\xff", "the store's disk: \x1b[31mfull"
	tr.Displaced[0].Lost = true
	commit(t, db, tr)
	got := load(t, openIn(t, dir), []string{"admin", "nobody"})
	want := shadowsync.Memory{Accounts: map[string]shadowsync.AccountMemory{
		"admin": {Baseline: tr.Baseline, Open: tr.Open, Record: tr.Displaced, LastChange: tr.Origin},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestLoadSelects(t *testing.T) {
	db := openIn(t, t.TempDir())
	fill(t, db, 3*scanFrom, nil)
	other := samplePair(1)
	if err := db.Commit(context.Background(), "other", []shadowsync.Transition{{Account: accountName(1), Baseline: &other}}); err != nil {
		t.Fatal(err)
	}
	journal(t, db, sampleChange("only-announced", 1))
	if err := db.Mark(context.Background(), application, shadowsync.Revisions{OS: "1", Store: "2", Config: "3"}); err != nil {
		t.Fatal(err)
	}
	many := make([]string, 2*scanFrom)
	for i := range many {
		many[i] = accountName(i)
	}
	for _, c := range []struct {
		name  string
		names []string
		want  int
	}{
		{"all", nil, 3*scanFrom + 1},
		{"the mark alone", []string{}, 0},
		{"one", []string{accountName(5)}, 1},
		{"one that was only announced", []string{"only-announced"}, 1},
		{"an unknown one", []string{"nobody"}, 0},
		{"few of many", many[:scanFrom], scanFrom},
		{"many", many, len(many)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, db, c.names)
			if len(m.Accounts) != c.want {
				t.Errorf("%d accounts, want %d", len(m.Accounts), c.want)
			}
			if m.Synced.Config != "3" {
				t.Errorf("the mark is %+v", m.Synced)
			}
			for _, name := range c.names {
				if a, ok := m.Accounts[name]; ok && (a.Baseline == nil) == (a.Open == nil) {
					t.Errorf("%s is %+v", name, a)
				}
			}
		})
	}
}

func TestCredentialTextHoldsEveryValue(t *testing.T) {
	odd := shadowsync.Credential{
		Hash: "a:b:\n\x00\xff", Locked: true, LastChange: 0, MustChange: true,
		Min: shadowsync.NoDay, Max: -7, Warn: 1 << 40, Inactive: 0, Expire: 1,
	}
	locked := shadowsync.Credential{Hash: "!x"}
	for _, c := range []shadowsync.Credential{{}, shadowsync.NoAgeing(), sampleCredential(1), odd, locked} {
		text := credentialText(c)
		if got, err := parseCredential(text); err != nil || got != c {
			t.Errorf("%+v became %+v through %q (%v)", c, got, text, err)
		}
	}
	if got, err := parseCredential("::::::L:!h"); err != nil || got.Hash != "h" || !got.Locked { // an earlier version wrote "!!h" like this
		t.Errorf("two marks became %+v (%v)", got, err)
	}
	for _, text := range []string{"", "::::::", "x::::::L:h", "::::::Q:h"} {
		if _, err := parseCredential(text); !errors.Is(err, shadowsync.ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOpenMakesFolderAndFilePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var/lib/with space%3f?and#/shadowsync")
	openIn(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, FileName): 0o600} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestOpenRefusesWhatIsNotOurs(t *testing.T) {
	path := func(dir string) string { return filepath.Join(dir, FileName) }
	cases := map[string]func(dir string) error{
		"a symlink":                   func(dir string) error { return os.Symlink("/etc/hostname", path(dir)) },
		"a FIFO":                      func(dir string) error { return unix.Mkfifo(path(dir), 0o600) },
		"a folder that others write":  func(dir string) error { return os.Chmod(dir, 0o777) },
		"a file that is no database":  func(dir string) error { return os.WriteFile(path(dir), []byte(strings.Repeat("no", 4096)), 0o600) },
		"somebody else's folder":      func(dir string) error { return os.Chown(dir, 7, 7) },
		"a folder that is a file":     func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) },
		"a folder that is a symlink":  func(dir string) error { return errors.Join(os.Remove(dir), os.Symlink("/tmp", dir)) },
		"a database of somebody else": func(dir string) error { return foreign(path(dir), "CREATE TABLE x (y)") },
		"a database with a foreign id": func(dir string) error {
			return foreign(path(dir), "PRAGMA application_id = 7; PRAGMA user_version = 1")
		},
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			err := os.Mkdir(dir, 0o700)
			if err == nil {
				err = prepare(dir)
			}
			if errors.Is(err, os.ErrPermission) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			db, err := Open(context.Background(), dir)
			if err == nil {
				db.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), dir) {
				t.Errorf("does not name the place: %v", err)
			}
		})
	}
}

func TestOpenClosesAFileToOthers(t *testing.T) {
	dir := t.TempDir()
	openIn(t, dir).Close()
	if err := os.Chmod(filepath.Join(dir, FileName), 0o644); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir)
	if info, _ := os.Stat(filepath.Join(dir, FileName)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
}

func TestManyGoroutinesAndConnections(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for n := range 4 {
		db := openIn(t, dir)
		for g := range 2 {
			all.Go(func() {
				for i := range 10 {
					name := accountName(100*n + 10*g + i)
					if err := db.Commit(t.Context(), application, []shadowsync.Transition{sampleTransition(name, i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	db := openIn(t, dir)
	if n := len(load(t, db, nil).Accounts); n != 80 {
		t.Errorf("%d accounts, want 80", n)
	}
	if n, err := db.Verify(context.Background()); n != 80 || err != nil {
		t.Errorf("%d audit records, %v; want 80", n, err)
	}
}

// foreign makes a database that is not shadowsync's.
func foreign(path, query string) error {
	pool, err := sql.Open("sqlite3", path)
	if err != nil {
		return err
	}
	_, err = pool.ExecContext(context.Background(), query)
	return errors.Join(err, pool.Close())
}

func TestChanges(t *testing.T) {
	db := openIn(t, t.TempDir())
	commit(t, db, sampleTransition("admin", 1))
	journal(t, db, sampleChange("only-announced", 1))
	got, err := db.Changes(t.Context(), application)
	if err != nil || len(got.Accounts) != 1 || got.Accounts["only-announced"].Open == nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSurveyLeavesTheRecordsOut(t *testing.T) {
	db := openIn(t, t.TempDir())
	commit(t, db, sampleTransition("admin", 1))
	last := sampleTransition("admin", 2)
	last.Past = shadowsync.Past{"digest"}
	commit(t, db, last)
	journal(t, db, sampleChange("only-announced", 1))
	want := load(t, db, nil)
	if admin := want.Accounts["admin"]; len(admin.Record) == 0 || len(admin.Past) == 0 {
		t.Fatalf("nothing to leave out: %+v", admin)
	}
	for name, a := range want.Accounts {
		a.Record, a.Past = nil, nil
		want.Accounts[name] = a
	}
	got, err := db.Survey(t.Context(), application, nil)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}
