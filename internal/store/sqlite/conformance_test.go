package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/storetest"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Fixture{Driver: Driver, Make: makeStore})
}

// makeStore makes a database that the test reads and writes by SQL, as an application does.
func makeStore(t *testing.T, accounts map[string]string) storetest.Store {
	s, path := fresh(t)
	credentials := map[string]shadowsync.Credential{}
	for name, value := range accounts {
		c := shadowsync.NoAgeing()
		c.Hash = value
		credentials[name] = c
	}
	create(t, s, credentials)
	db, err := sql.Open("sqlite3", address(t, s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxIdleConns(0) // what is put in the place of the file is opened
	run := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.Exec(statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	return storetest.Store{
		Options: options(path),
		Held: func(name string) (value string, there bool) {
			err := db.QueryRow("SELECT password FROM credential WHERE name = ?", name).Scan(&value)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				t.Error(err)
			}
			return value, err == nil
		},
		Set: func(name, value string) { run("UPDATE credential SET password = ? WHERE name = ?", value, name) },
		Break: func() (mend func()) {
			away := filepath.Join(filepath.Dir(path), "away")
			if err := os.Rename(path, away); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.Rename(away, path); err != nil {
					t.Fatal(err)
				}
			}
		},
		Spoil: func() { run("PRAGMA user_version = 0") },
		Hang: func() (release func()) {
			c, err := db.Conn(t.Context())
			if err == nil {
				_, err = c.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = c.Close() }
		},
	}
}
