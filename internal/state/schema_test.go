package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func schemaOf(t *testing.T, db *DB) (version int) {
	t.Helper()
	if err := db.conn.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

func TestMigrations(t *testing.T) {
	dir := t.TempDir()
	db := openIn(t, dir)
	commit(t, db, sampleTransition("admin", 1))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	next := append(slices.Clone(migrations), "ALTER TABLE account ADD COLUMN shoe INTEGER", "UPDATE account SET shoe = 42")
	for range 2 { // the second time there is nothing to do
		db, err := open(t.Context(), "/", dir, next)
		if err != nil {
			t.Fatal(err)
		}
		var shoe int
		if err := db.conn.QueryRowContext(t.Context(), "SELECT shoe FROM account").Scan(&shoe); shoe != 42 || err != nil {
			t.Errorf("shoe %d, %v", shoe, err)
		}
		if v := schemaOf(t, db); v != len(next) {
			t.Errorf("schema %d, want %d", v, len(next))
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(t.Context(), dir)
	var newer *NewerError
	if !errors.As(err, &newer) || newer.Schema != len(next) || newer.Known != len(migrations) {
		t.Fatalf("a newer schema: %v", err)
	}
	if want := fmt.Sprintf("cannot open state %s: written by a newer shadowsync (schema %d, this one knows %d)", filepath.Join(dir, FileName), len(next), len(migrations)); err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestAFailedMigrationChangesNothing(t *testing.T) {
	dir := t.TempDir()
	commit(t, openIn(t, dir), sampleTransition("admin", 1))
	broken := append(slices.Clone(migrations), "DROP TABLE account; nonsense")
	if db, err := open(t.Context(), "/", dir, broken); err == nil {
		db.Close()
		t.Fatal("opened")
	}
	db := openIn(t, dir)
	if v, n := schemaOf(t, db), len(load(t, db, nil).Accounts); v != len(migrations) || n != 1 {
		t.Errorf("schema %d, %d accounts", v, n)
	}
}

func TestTwoProcessesCreateOneDatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			db, err := Open(context.Background(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Audit(context.Background(), sampleEvents("admin", 1)[0]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, err := openIn(t, dir).Verify(context.Background()); n != 8 || err != nil {
		t.Errorf("%d audit records, %v", n, err)
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	for name, damage := range map[string]func(path string, size int64) error{
		"cut off": func(path string, size int64) error { return os.Truncate(path, size/2+100) },
		"overwritten": func(path string, size int64) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte(strings.Repeat("\xaa", int(size)-100)), 100)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := openIn(t, dir)
			fill(t, db, 1000, nil)
			db.Close()
			path := filepath.Join(dir, FileName)
			info, err := os.Stat(path)
			if err == nil {
				err = damage(path, info.Size())
			}
			if err != nil {
				t.Fatal(err)
			}
			db, err = Open(t.Context(), dir)
			if err == nil {
				defer db.Close()
				_, err = db.Load(t.Context(), application, nil)
			}
			if !errors.Is(err, shadowsync.ErrMalformed) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
		})
	}
}
