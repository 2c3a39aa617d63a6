package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func hashOf(t *testing.T, s *Store, name string) string {
	t.Helper()
	got, err := s.Read(t.Context(), []string{name})
	if err != nil {
		t.Fatal(err)
	}
	return got.Accounts[name].Hash
}

// TestReplaced: another file with the database's name is used at once.
func TestReplaced(t *testing.T) {
	s, path := fresh(t)
	create(t, s, sample())
	other, otherPath := fresh(t)
	create(t, other, sample())
	application(t, otherPath, "UPDATE credential SET password = 'theirs' WHERE name = 'full'")
	hashOf(t, s, "full")
	if err := os.Rename(otherPath, path); err != nil {
		t.Fatal(err)
	}
	if got := hashOf(t, s, "full"); got != "theirs" {
		t.Errorf("read %q from the file that was replaced", got)
	}
	expect := sample()["full"]
	expect.Hash, expect.Locked = "theirs", false
	want := expect
	want.Hash = "ours"
	if left, err := s.Write(t.Context(), []shadowsync.Write{{Name: "full", Expect: expect, Want: want}}); err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	if got := hashOf(t, open(t, path), "full"); got != "ours" {
		t.Errorf("the write went elsewhere: there is %q", got)
	}
}

// TestRestoredInPlace: a backup that is copied over the open database, and then written to, has the
// change counter of the content that it replaced.
func TestRestoredInPlace(t *testing.T) {
	s, path := fresh(t)
	create(t, s, sample())
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	application(t, path, "UPDATE credential SET password = 'one' WHERE name = 'full'")
	if got := hashOf(t, s, "full"); got != "one" {
		t.Fatal(got)
	}
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	application(t, path, "UPDATE credential SET password = 'two' WHERE name = 'full'")
	if got := hashOf(t, s, "full"); got != "two" {
		t.Errorf("read %q: pages of the content before", got)
	}
}

// TestRebuiltInPlace: a rebuilt database (sqlite3's .recover) that is copied over the open one has
// the same schema number, but its tables at other pages.
func TestRebuiltInPlace(t *testing.T) {
	s, path := fresh(t)
	create(t, s, sample())
	if got := hashOf(t, s, "full"); got != sample()["full"].Hash {
		t.Fatal(got)
	}
	tables, triggers, _ := strings.Cut(Schema, "CREATE TRIGGER")
	credential, revision, found := strings.Cut(tables, "CREATE TABLE revision")
	if !found {
		t.Fatal("the schema has no table of revisions")
	}
	rebuilt := filepath.Join(t.TempDir(), "rebuilt.db")
	if err := os.WriteFile(rebuilt, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	application(t, rebuilt, "CREATE TABLE revision"+revision+";"+credential+"; CREATE TRIGGER"+triggers+
		"; INSERT INTO credential (name, password) VALUES ('full', 'rebuilt')")
	text, err := os.ReadFile(rebuilt)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := hashOf(t, s, "full"); got != "rebuilt" {
		t.Errorf("read %q", got)
	}
}

// TestWAL: if an application sets the journal mode that it was told not to set, its write still
// reaches the watched file, and no log is left for a file that replaces the database.
func TestWAL(t *testing.T) {
	s, path := fresh(t)
	create(t, s, sample())
	hashOf(t, s, "full")
	application(t, path, "PRAGMA journal_mode = WAL")
	if got := hashOf(t, s, "full"); got != sample()["full"].Hash {
		t.Fatal(got)
	}
	application(t, path, "UPDATE credential SET password = 'theirs' WHERE name = 'full'")
	if got := hashOf(t, s, "full"); got != "theirs" {
		t.Errorf("read %q", got)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Lstat(path + suffix); err == nil {
			t.Errorf("%s stays while nobody works", suffix)
		}
	}
	other, otherPath := fresh(t)
	create(t, other, sample())
	application(t, otherPath, "UPDATE credential SET password = 'restored' WHERE name = 'full'")
	if err := os.Rename(otherPath, path); err != nil {
		t.Fatal(err)
	}
	if got := hashOf(t, s, "full"); got != "restored" {
		t.Errorf("read %q from the file that was put in place", got)
	}
}
