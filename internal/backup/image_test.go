package backup

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// database makes one with a value in it.
func database(t *testing.T, schema int, value string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, path, "PRAGMA application_id = 7; CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('"+value+"')")
	run(t, path, map[int]string{1: "PRAGMA user_version = 1", 2: "PRAGMA user_version = 2"}[schema])
	return path
}

func run(t *testing.T, path, statement string) {
	t.Helper()
	err := with(context.Background(), path, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(context.Background(), statement)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func value(t *testing.T, conn *sql.DB) (v string) {
	t.Helper()
	if err := conn.QueryRow("SELECT v FROM t").Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestRestoreUnderAnOpenDatabase: the daemon has it open, and sees the new content.
func TestRestoreUnderAnOpenDatabase(t *testing.T) {
	path := database(t, 1, "old")
	image, err := Image(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	open, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	run(t, path, "UPDATE t SET v = 'new'")
	if got := value(t, open); got != "new" {
		t.Fatal(got)
	}
	if err := Check(t.Context(), image, path); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), image, path); err != nil {
		t.Fatal(err)
	}
	if got := value(t, open); got != "old" {
		t.Errorf("it still sees %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestCheckRefuses(t *testing.T) {
	path := database(t, 1, "ours")
	newer, err := os.ReadFile(database(t, 2, "newer"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), newer, path); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer schema: %v", err)
	}
	foreign := database(t, 1, "foreign")
	run(t, foreign, "PRAGMA application_id = 8")
	image, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), image, path); !errors.Is(err, ErrNotBackup) {
		t.Errorf("another program's: %v", err)
	}
	for name, image := range map[string][]byte{"no database": []byte("root:x:0"), "cut off": newer[:len(newer)/2]} {
		if err := Check(t.Context(), image, path); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
