package sqlite

import (
	"os"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func hashOf(t *testing.T, s *Store, name string) string {
	t.Helper()
	got, err := s.Read(t.Context(), []string{name})
	if err != nil {
		t.Fatal(err)
	}
	return got.Records[name].Hash
}

// TestReplaced: another file with the database's name is the database, at once.
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

// TestRestoredInPlace: a backup that is copied over the open database, and then written
// to, has the change counter of the content that it replaced.
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
