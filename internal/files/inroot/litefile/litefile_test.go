package litefile

import (
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

func openDatabase(t *testing.T, path string) *sql.DB {
	t.Helper()
	address, err := Address(path, url.Values{"mode": {"rwc"}})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", address)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// TestTheFolderIsKept moves the folder away during the work, and replaces it by a link to another
// one.
func TestTheFolderIsKept(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(root+"/var/lib", 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := inroot.OpenFolder(root, "/var/lib")
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	swap := func() {
		if err := errors.Join(os.Rename(root+"/var", root+"/moved"), os.Symlink(filepath.Dir(other), root+"/var")); err != nil {
			t.Fatal(err)
		}
	}
	db := openDatabase(t, folder.Path("x.db"))
	for i, query := range []string{"CREATE TABLE t (a)", "INSERT INTO t VALUES (1)", "BEGIN; INSERT INTO t VALUES (2); COMMIT"} {
		if i == 1 {
			swap()
		}
		if _, err := db.Exec(query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	var n int
	if err := openDatabase(t, folder.Path("x.db")).QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
	if entries, _ := os.ReadDir(other); len(entries) > 0 {
		t.Errorf("written elsewhere: %v", entries)
	}
	if _, err := os.Stat(root + "/moved/lib/x.db"); err != nil {
		t.Error(err)
	}
}

func TestNoLinkIsOpened(t *testing.T) {
	root, other := t.TempDir(), filepath.Join(t.TempDir(), "other.db")
	folder, err := inroot.OpenFolder(root, "/")
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if _, err := openDatabase(t, other).Exec("CREATE TABLE t (a)"); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.db", "y.db-journal"} {
		if err := os.Symlink(other, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openDatabase(t, folder.Path("x.db")).Exec("CREATE TABLE u (a)"); err == nil {
		t.Error("written through a link")
	}
	// This journal is older than the new database, so SQLite removes it, whatever it is.
	if _, err := openDatabase(t, folder.Path("y.db")).Exec("CREATE TABLE u (a)"); err != nil {
		t.Error(err)
	}
	if after, _ := os.ReadFile(other); string(after) != string(before) {
		t.Error("the file behind the link has changed")
	}
}
