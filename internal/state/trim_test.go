package state

import (
	"context"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func trimmed(t *testing.T, db *DB, before time.Time) int {
	t.Helper()
	n, _, err := db.TrimAudit(context.Background(), before, shadowsync.Event{At: time.Now(), Action: "x"})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// recordDays records an event for each day from 1 to n.
func recordDays(t *testing.T, db *DB, n int) {
	t.Helper()
	for day := 1; day <= n; day++ {
		e := shadowsync.Event{At: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC), Account: "admin", Action: "adopted"}
		if err := db.Audit(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

func TestTrimmedTrailVerifies(t *testing.T) {
	db := openIn(t, t.TempDir())
	if n := trimmed(t, db, day(5)); n != 0 {
		t.Errorf("an empty trail: %d", n)
	}
	recordDays(t, db, 9)
	if n := trimmed(t, db, day(5)); n != 4 {
		t.Errorf("trimmed %d", n)
	}
	if n := trimmed(t, db, day(5)); n != 0 {
		t.Errorf("trimmed %d again", n)
	}
	if n, err := db.Verify(context.Background()); n != 6 || err != nil { // five days and the cut
		t.Errorf("%d are good, %v", n, err)
	}
	recordDays(t, db, 2)                      // a clock that goes back
	if n := trimmed(t, db, day(31)); n != 5 { // up to the record of the first cut, which is from today
		t.Errorf("trimmed %d", n)
	}
	if n, err := db.Verify(context.Background()); n != 4 || err != nil {
		t.Errorf("%d are good, %v", n, err)
	}
}

// TestCutsAreOnRecord: records that were removed without an entry are missed.
func TestCutsAreOnRecord(t *testing.T) {
	for name, statement := range map[string]string{
		"a record after the cut": "DROP TRIGGER audit_keep; DELETE FROM audit WHERE seq = 5",
		"a cut made further": `DROP TRIGGER audit_keep; REPLACE INTO audit_anchor SELECT 1, seq, hash FROM audit WHERE seq = 7;
			DELETE FROM audit WHERE seq <= 7`,
		"the end": "DROP TRIGGER audit_keep; DELETE FROM audit WHERE seq = 10",
	} {
		t.Run(name, func(t *testing.T) {
			db := openIn(t, t.TempDir())
			recordDays(t, db, 9)
			trimmed(t, db, day(5))
			if _, err := db.conn.ExecContext(context.Background(), statement); err != nil {
				t.Fatal(err)
			}
			if n, err := db.Verify(context.Background()); err == nil {
				t.Errorf("%d records are said to be good", n)
			}
			if n, _, err := db.TrimAudit(context.Background(), day(31), shadowsync.Event{}); n != 0 || err == nil {
				t.Errorf("trimmed %d, %v", n, err)
			}
		})
	}
}

func TestTrailIsAppendOnlyAfterTheCut(t *testing.T) {
	db := openIn(t, t.TempDir())
	recordDays(t, db, 9)
	trimmed(t, db, day(5))
	if _, err := db.conn.ExecContext(context.Background(), "DELETE FROM audit WHERE seq = 6"); err == nil {
		t.Error("a record was deleted")
	}
}
