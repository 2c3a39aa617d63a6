package state

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// anchor is the last record that was trimmed off the trail. The remaining chain begins with its
// hash, and a record in that chain names it: a copy of that record in the journal proves that this
// is the cut that was made then.
type anchor struct {
	seq  int64 // 0: nothing was trimmed
	hash []byte
}

const (
	actionTrimmed = "audit-trimmed"
	trimmedMark   = `"action":"` + actionTrimmed + `"`
)

func (a anchor) String() string {
	return fmt.Sprintf("all up to record %d, whose hash is %s", a.seq, hex.EncodeToString(a.hash))
}

// TrailEnd describes the last record of the trail and its hash, so that it can be noted elsewhere.
func (db *DB) TrailEnd(ctx context.Context) (text string, err error) {
	err = db.read(ctx, "read the audit of", func(tx *tx) error {
		seq, hash, err := tx.head()
		text = Position{seq, hash}.String()
		return err
	})
	return text, err
}

func (t *tx) anchor() (anchor, error) {
	a := anchor{hash: genesis}
	_, err := t.get("SELECT seq, hash FROM audit_anchor", nil, &a.seq, &a.hash)
	return a, err
}

// TrimAudit removes the oldest records, up to the first that is not from before the given time. It
// records that with the event, which it returns as recorded. The chain stays verifiable. From a
// trail that was tampered with it removes nothing, and if there is nothing to remove it records
// nothing.
func (db *DB) TrimAudit(ctx context.Context, before time.Time, event shadowsync.Event) (n int, recorded shadowsync.Event, err error) {
	if _, err := db.Verify(ctx); err != nil {
		return 0, event, err
	}
	err = db.write(ctx, "trim the audit of", func(tx *tx) error {
		old, err := tx.anchor()
		if err != nil {
			return err
		}
		cut, err := tx.cut(before)
		if err != nil || cut.seq <= old.seq {
			return err
		}
		n = int(cut.seq - old.seq)
		event.Action, event.Reason = actionTrimmed, cut.String()
		if err := tx.audit(event); err != nil {
			return err
		}
		if _, err := tx.exec("REPLACE INTO audit_anchor (one, seq, hash) VALUES (1, ?, ?)", cut.seq, cut.hash); err != nil {
			return err
		}
		_, err = tx.exec("DELETE FROM audit WHERE seq <= ?", cut.seq)
		return err
	})
	return n, event, err
}

// cut is the record before the first one that is not older than before. Clocks can go back, so
// older records may follow it, but a trail is cut in one place.
func (t *tx) cut(before time.Time) (anchor, error) {
	var a anchor
	_, err := t.get(`SELECT seq, hash FROM audit WHERE seq < coalesce(
		(SELECT seq FROM audit WHERE at >= ? ORDER BY seq LIMIT 1), 9223372036854775807) ORDER BY seq DESC LIMIT 1`,
		[]any{before.UnixMilli()}, &a.seq, &a.hash)
	return a, err
}
