package storeworker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// embedded makes a store with n accounts in a folder of an application's, and opens it.
func embedded(t *testing.T, n int) (*Client, []driver.Row) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "app")
	o := store.Options{Driver: "sqlite", Path: filepath.Join(folder, "credentials.db")}
	d, err := store.Find(o.Driver)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Prepare(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		for path := filepath.Dir(folder); path != os.TempDir(); path = filepath.Dir(path) {
			if err := os.Chmod(path, 0o711); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Chown(folder, 1234, 1234), os.Chown(o.Path, 1234, 1234)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Spawn(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	rows := make([]driver.Row, 0, n)
	for i := range n {
		record := shadowsync.StoredAccount{Credential: shadowsync.Credential{
			Hash: fmt.Sprintf("$6$saltsalt$%086d", i), Locked: i%3 == 0, LastChange: 20000,
			Min: shadowsync.NoDay, Max: 90, Warn: 7, Inactive: shadowsync.NoDay, Expire: shadowsync.NoDay,
		}}
		record.ChangedAt = time.UnixMilli(1_700_000_000_000 + int64(i))
		rows = append(rows, driver.Row{Name: fmt.Sprintf("user%06d", i), StoredAccount: record})
	}
	return c, rows
}

func replace(t *testing.T, c *Client, rows []driver.Row, commit bool) {
	t.Helper()
	held, err := c.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Replace(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if commit {
		err = held.Commit(t.Context())
	}
	if err := errors.Join(err, held.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestEmbeddedThroughTheWorker: all of a store in an application's folder passes through its worker
// in both directions, in order and without loss.
func TestEmbeddedThroughTheWorker(t *testing.T) {
	c, rows := embedded(t, 3000)
	for _, put := range [][]driver.Row{rows, rows[:2], {}, rows} {
		replace(t, c, put, true)
		replace(t, c, rows[:1], false) // and is undone
		got, err := c.All(t.Context())
		if err != nil || len(got) != len(put) {
			t.Fatalf("%d of %d accounts: %v", len(got), len(put), err)
		}
		if len(put) > 0 && !reflect.DeepEqual(got, put) {
			t.Fatalf("it holds %+v\nput there was %+v", got[0], put[0])
		}
	}
	for name, put := range map[string][]driver.Row{"twice": {rows[0], rows[0]}, "without a name": {{}}} {
		held, err := c.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := held.Replace(t.Context(), put); err == nil {
			t.Errorf("%s: taken", name)
		}
		if err := held.Close(); err != nil {
			t.Error(err)
		}
	}
	if got, err := c.All(t.Context()); err != nil || !reflect.DeepEqual(got, rows) {
		t.Errorf("a replacement that was refused left %d accounts, %v", len(got), err)
	}
}

// TestHeldStoreServesNobodyElse: another worker finds the store locked, and finds it free again
// after the holder was killed in the middle.
func TestHeldStoreServesNobodyElse(t *testing.T) {
	c, rows := embedded(t, 10)
	replace(t, c, rows, true)
	held, err := c.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Replace(t.Context(), rows[:1]); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(workerOf(t, c), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := held.Commit(t.Context()); !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("a killed worker committed: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestStoreOfTheApplicationsOwnIsNotEmbedded: a backup does not include a JSON store.
func TestStoreOfTheApplicationsOwnIsNotEmbedded(t *testing.T) {
	path, names := crowd(t, t.TempDir(), 3)
	c := spawn(t, path)
	if _, err := c.All(t.Context()); !errors.Is(err, shadowsync.ErrMalformed) {
		t.Errorf("All: %v", err)
	}
	if _, err := c.Hold(t.Context()); !errors.Is(err, shadowsync.ErrMalformed) {
		t.Errorf("Hold: %v", err)
	}
	if _, err := c.Read(t.Context(), names); err != nil {
		t.Errorf("it is of no use any more: %v", err)
	}
}
