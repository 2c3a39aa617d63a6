package sqlite

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func someRows() []driver.Row {
	c := shadowsync.Credential{Hash: "$6$salt$hash", Locked: true, LastChange: 20000, Min: 0, Max: 90, Warn: 7, Inactive: shadowsync.NoDay, Expire: shadowsync.NoDay}
	must := c
	must.LastChange, must.MustChange = shadowsync.NoDay, true
	at := time.UnixMilli(1_700_000_000_123)
	return []driver.Row{
		{Name: "admin", StoredAccount: shadowsync.StoredAccount{Credential: c, ChangedAt: at}},
		{Name: "new", StoredAccount: shadowsync.StoredAccount{Credential: must, ChangedAt: at}},
	}
}

func TestImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := writeImage(t.Context(), path, someRows()); err != nil {
		t.Fatal(err)
	}
	if rows, err := readImage(t.Context(), path); err != nil || !reflect.DeepEqual(rows, someRows()) {
		t.Errorf("read back %+v, %v", rows, err)
	}
	if err := writeImage(t.Context(), path, nil); !os.IsExist(err) {
		t.Errorf("written over what is there: %v", err)
	}
}

// TestImageOfAnothersMaking: an image with SQL that would run by itself, or with content that the
// schema does not allow.
func TestImageOfAnothersMaking(t *testing.T) {
	for name, change := range map[string]string{
		"trigger": "CREATE TRIGGER x AFTER INSERT ON credential BEGIN DELETE FROM revision; END",
		"view":    "CREATE VIEW x AS SELECT 1",
		"index":   "CREATE INDEX x ON credential(password)",
		"column":  "ALTER TABLE credential ADD COLUMN x",
		"table":   "DROP TABLE revision",
		"gone":    "DROP TABLE credential",
		"checks": "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE credential(name, password, last_change, must_change, min_days, max_days, " +
			"warn_days, inactive_days, expire_day, changed_at)' WHERE name = 'credential'",
		"newer": "PRAGMA user_version = 2",
		"older": "PRAGMA user_version = 0",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			if err := writeImage(t.Context(), path, someRows()); err != nil {
				t.Fatal(err)
			}
			c, err := dial("file:" + path)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.run(change); err != nil {
				t.Fatal(err)
			}
			if err := c.close(); err != nil {
				t.Fatal(err)
			}
			if _, err := readImage(t.Context(), path); err == nil || name != "checks" && !strings.Contains(err.Error(), "tables are not those") {
				t.Errorf("it says %v", err)
			}
		})
	}
	for name, content := range map[string]string{"empty": "", "text": "root:x:0:0\n", "header alone": "SQLite format 3\x00"} {
		path := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readImage(t.Context(), path); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
