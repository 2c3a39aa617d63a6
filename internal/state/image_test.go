package state

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// lived opens a state that has rows in every table that the engine writes.
func lived(t *testing.T) (*DB, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lib", "state")
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	value := shadowsync.Credential{Hash: "$6$a$b", LastChange: 20000}
	baseline := shadowsync.Baseline{OS: value, Store: value}
	origin := shadowsync.Origin{At: time.Now(), By: "root"}
	err = db.Commit(t.Context(), "conductor", []shadowsync.Transition{{
		Account: "admin", Baseline: &baseline, Origin: &origin, Past: shadowsync.Past{"digest"},
		Displaced: []shadowsync.Entry{{Baseline: baseline, Origin: origin, Replaced: time.Now()}},
		Open:      &shadowsync.Change{Account: "admin", State: shadowsync.Pending, OS: value, Origin: origin, Since: time.Now()},
		Logout:    &shadowsync.Logout{Account: "admin", Origin: origin},
		Events:    []shadowsync.Event{{At: time.Now(), Account: "admin", Action: "first"}, {At: time.Now(), Action: "second"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return db, dir
}

// content returns every row of every table as text.
func content(t *testing.T, db *DB) string {
	t.Helper()
	var all []string
	tables, err := texts(t.Context(), db.conn, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
	for _, table := range tables {
		var columns, rows []string
		if err == nil {
			columns, err = texts(t.Context(), db.conn, "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", table)
		}
		if err == nil {
			rows, err = texts(t.Context(), db.conn, "SELECT json_array(hex("+strings.Join(columns, "), hex(")+")) AS t FROM "+table+" ORDER BY t")
		}
		all = append(append(all, table), rows...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

func renewed(t *testing.T, db *DB) string {
	t.Helper()
	dir := t.TempDir()
	image, fresh := filepath.Join(dir, "image"), filepath.Join(dir, "fresh")
	if err := db.Copy(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	if err := Renew(t.Context(), image, fresh); err != nil {
		t.Fatal(err)
	}
	return fresh
}

// TestHeldReplace: all of a state comes back, whatever was done to the present one, and processes
// that have it open see it.
func TestHeldReplace(t *testing.T) {
	db, dir := lived(t)
	before := content(t, db)
	fresh := renewed(t, db)
	for _, change := range []string{
		"CREATE TRIGGER quiet BEFORE INSERT ON audit BEGIN SELECT raise(IGNORE); END", "CREATE VIEW v AS SELECT 1; CREATE INDEX i ON audit(at); CREATE TABLE more (x)", "DROP TABLE entry",
	} {
		if err := db.write(t.Context(), "x", func(tx *tx) error { return tx.run(change) }); err != nil {
			t.Fatal(err)
		}
	}
	h, err := Hold(t.Context(), "/", dir, fresh)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := db.Audit(ctx, shadowsync.Event{Action: "lost"}); !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("somebody wrote to a state that is held: %v", err)
	}
	var said string
	at, err := h.Replace(t.Context(), factor.Keys{}.Merge, func(was string) shadowsync.Event {
		said = was
		return shadowsync.Event{At: time.Now(), Action: "restored", Reason: was}
	})
	if err == nil {
		err = h.Commit(t.Context())
	}
	if err := errors.Join(err, h.Close()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(said, "record 2, whose hash is ") {
		t.Errorf("the trail before ended with %q", said)
	}
	if there, err := db.Holds(t.Context(), at); !there || err != nil || at.Seq != 3 {
		t.Errorf("the restore is not on record at %d: %v", at.Seq, err)
	}
	if n, err := db.Verify(t.Context()); n != 3 || err != nil {
		t.Errorf("%d records are good: %v", n, err)
	}
	if memory, err := db.Load(t.Context(), "conductor", nil); err != nil || !memory.PastUnknown {
		t.Errorf("what the application remembers counts as known: %v", err)
	}
	if err := db.write(t.Context(), "x", func(tx *tx) error {
		return tx.run("UPDATE application SET past_unknown = 0; INSERT OR REPLACE INTO audit_anchor VALUES (1, 3, x''); DELETE FROM audit WHERE seq = 3; DELETE FROM audit_anchor; DELETE FROM audit_head")
	}); err != nil {
		t.Fatal(err)
	}
	after := content(t, db)
	head := func(text string) string {
		a, b, _ := strings.Cut(text, "audit_head\n")
		_, b, _ = strings.Cut(b, "change\n")
		return a + b
	}
	if head(after) != head(before) {
		t.Errorf("it was\n%s\nit is\n%s", before, after)
	}
	if err := db.write(t.Context(), "x", func(tx *tx) error { return tx.run("DELETE FROM audit") }); err == nil {
		t.Error("the trail is not append-only any more")
	}
}

// TestHeldUndone: without a commit the state stays the same, byte for byte. A reader's lock keeps a
// replacement from beginning.
func TestHeldUndone(t *testing.T) {
	db, dir := lived(t)
	fresh := renewed(t, db)
	before := content(t, db)
	h, err := Hold(t.Context(), "/", dir, fresh)
	if err == nil {
		_, err = h.Replace(t.Context(), factor.Keys{}.Merge, func(string) shadowsync.Event { return shadowsync.Event{Action: "restored"} })
	}
	if err := errors.Join(err, h.Close()); err != nil {
		t.Fatal(err)
	}
	if after := content(t, db); after != before {
		t.Errorf("it was\n%s\nit is\n%s", before, after)
	}
	err = db.read(t.Context(), "x", func(*tx) error {
		h, err := Hold(t.Context(), "/", dir, fresh)
		if err == nil {
			err = errors.Join(errors.New("held beside a reader"), h.Close())
		}
		return err
	})
	if !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("beside a reader: %v", err)
	}
}

func TestRenewRefuses(t *testing.T) {
	db, _ := lived(t)
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := db.Copy(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]string{
		"trigger":    "CREATE TRIGGER quiet BEFORE INSERT ON audit BEGIN SELECT raise(IGNORE); END",
		"view":       "CREATE VIEW v AS SELECT 1",
		"index":      "CREATE INDEX i ON audit(at)",
		"no tables":  "DROP TRIGGER audit_keep; DROP TRIGGER audit_fix; DROP TABLE audit; DROP TABLE account",
		"a column":   "ALTER TABLE change ADD COLUMN x TEXT",
		"another's":  "PRAGMA application_id = 7",
		"newer":      "PRAGMA user_version = 1000",
		"credential": "UPDATE account SET os = 'root:x'",
		"origin":     "UPDATE change SET origin = 'x'",
	} {
		image := filepath.Join(dir, name)
		raw, err := os.ReadFile(good)
		if err == nil {
			err = os.WriteFile(image, raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		pool, conn, err := connectTo(t.Context(), image, url.Values{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.ExecContext(t.Context(), change)
		if err := errors.Join(err, conn.Close(), pool.Close()); err != nil {
			t.Fatal(name, err)
		}
		var newer *NewerError
		if err := Renew(t.Context(), image, image+".fresh"); !errors.Is(err, shadowsync.ErrMalformed) && !errors.As(err, &newer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	image := filepath.Join(dir, "sparse")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 3<<30)); err != nil {
		t.Fatal(err)
	}
	if err := Renew(t.Context(), image, image+".fresh"); !errors.Is(err, shadowsync.ErrMalformed) {
		t.Errorf("a file of 3 GiB: %v", err)
	}
}

// TestRenewOfAnOlderSchema: the rows of each older version are migrated to the present one.
func TestRenewOfAnOlderSchema(t *testing.T) {
	for version := 1; version <= len(migrations); version++ {
		dir := filepath.Join(t.TempDir(), "lib", "state")
		old, err := open(t.Context(), "/", dir, migrations[:version])
		if err == nil {
			err = errors.Join(old.Audit(t.Context(), shadowsync.Event{Action: "of old"}), old.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		fresh := filepath.Join(t.TempDir(), "fresh")
		if err := Renew(t.Context(), filepath.Join(dir, FileName), fresh); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		db, err := OpenImage(t.Context(), fresh)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := db.Verify(t.Context()); n != 1 || err != nil {
			t.Errorf("version %d: %d records, %v", version, n, err)
		}
		_ = db.Close()
	}
}
