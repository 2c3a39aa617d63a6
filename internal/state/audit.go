package state

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"iter"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Record appends an audit event of its own.
func (db *DB) Record(ctx context.Context, event shadowsync.Event) error {
	return db.write(ctx, "record in", func(tx *tx) error { return tx.audit(event) })
}

// RecordAll appends events, all or none.
func (db *DB) RecordAll(ctx context.Context, events []shadowsync.Event) error {
	return db.write(ctx, "record in", func(tx *tx) error { return tx.audit(events...) })
}

// link is the hash of a record: SHA-256 over the hash of the one before, in 32
// bytes, and the event as it is in the table.
func link(before []byte, event string) []byte {
	h := sha256.New()
	h.Write(before)
	h.Write([]byte(event))
	return h.Sum(nil)
}

// genesis stands for the record before the first.
var genesis = make([]byte, sha256.Size)

// audit appends events to the trail. It never refuses, also not where somebody
// has tampered with the trail: a password change must not fail for that. The
// chain stays broken there, and Verify tells.
func (t *tx) audit(events ...shadowsync.Event) error {
	if len(events) == 0 {
		return nil
	}
	seq, hash, err := t.head()
	if err != nil {
		return err
	}
	for _, e := range events {
		e.At, e.Origin.At = e.At.UTC(), e.Origin.At.UTC()
		text, err := jsonText(e)
		if err != nil {
			return err
		}
		seq, hash = seq+1, link(hash, text)
		if _, err := t.exec("INSERT INTO audit (seq, event, hash) VALUES (?, ?, ?)", seq, text, hash); err != nil {
			return err
		}
	}
	_, err = t.exec("REPLACE INTO audit_head (one, seq, hash) VALUES (1, ?, ?)", seq, hash)
	return err
}

// head is where to append: after the head on record, and after every record there is.
func (t *tx) head() (int64, []byte, error) {
	hash, last := genesis, sql.NullInt64{}
	var seq int64
	if _, err := t.get("SELECT seq, hash FROM audit_head", nil, &seq, &hash); err != nil {
		return 0, nil, err
	}
	if _, err := t.get("SELECT max(seq) FROM audit", nil, &last); err != nil {
		return 0, nil, err
	}
	return max(seq, last.Int64), hash, nil
}

// Query selects audit records.
type Query struct {
	Since   time.Time // to the millisecond; zero: all
	Account string    // empty: all
	Limit   int       // the newest so many; 0: all
}

// AuditRecord is a numbered event. Its texts are raw: quote them for people.
type AuditRecord struct {
	Seq   int64
	Event shadowsync.Event
}

// page is how many records are read at a time, so that a slow reader of the
// trail keeps nobody from writing.
const page = 256

const (
	matches   = "(?1 = '' OR account = ?1) AND (?2 IS NULL OR at >= ?2)"
	auditPage = "SELECT seq, event FROM audit WHERE " + matches + " AND seq > ?3 ORDER BY seq LIMIT ?4"
	auditTail = "SELECT min(seq) FROM (SELECT seq FROM audit WHERE " + matches + " ORDER BY seq DESC LIMIT ?3)"
)

func (q Query) args(more ...any) []any {
	var since any
	if !q.Since.IsZero() {
		since = q.Since.UnixMilli()
	}
	// As jsonText does it: every byte that is not UTF-8 becomes U+FFFD.
	return append([]any{string([]rune(q.Account)), since}, more...)
}

// Audit iterates over the selected records, oldest first. After an error it ends.
func (db *DB) Audit(ctx context.Context, q Query) iter.Seq2[AuditRecord, error] {
	return func(yield func(AuditRecord, error) bool) {
		after, err := db.auditStart(ctx, q)
		for err == nil {
			var records []AuditRecord
			records, err = db.auditPage(ctx, q, after)
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
				after = r.Seq
			}
			if len(records) < page && err == nil {
				return
			}
		}
		yield(AuditRecord{}, err)
	}
}

// auditStart is the number after which the selected records begin.
func (db *DB) auditStart(ctx context.Context, q Query) (int64, error) {
	if q.Limit <= 0 {
		return 0, nil
	}
	first := sql.NullInt64{}
	err := db.read(ctx, "read the audit of", func(tx *tx) error {
		return tx.each(auditTail, q.args(q.Limit), []any{&first}, func() error { return nil })
	})
	return first.Int64 - 1, err
}

func (db *DB) auditPage(ctx context.Context, q Query, after int64) ([]AuditRecord, error) {
	var records []AuditRecord
	err := db.read(ctx, "read the audit of", func(tx *tx) error {
		var r AuditRecord
		var text string
		return tx.each(auditPage, q.args(after, page), []any{&r.Seq, &text}, func() error {
			r.Event = shadowsync.Event{}
			if err := parseJSON(text, &r.Event); err != nil {
				return err
			}
			records = append(records, r)
			return nil
		})
	})
	return records, err
}
