package state

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"iter"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Audit appends events to the audit trail, all or none.
func (db *DB) Audit(ctx context.Context, events ...shadowsync.Event) error {
	return db.write(ctx, "record in", func(tx *tx) error { return tx.audit(events...) })
}

// link is the hash of a record: SHA-256 over the 32 bytes of the hash before it and the event as it
// is in the table.
func link(before []byte, event string) []byte {
	h := sha256.New()
	h.Write(before)
	h.Write([]byte(event))
	return h.Sum(nil)
}

// genesis stands for the record before the first.
var genesis = make([]byte, sha256.Size)

// audit appends events to the trail. It appends even to a trail that was tampered with: a password
// change must not fail because of that. The chain stays broken at that place, and Verify reports
// it.
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

// head is the end of the trail: the last recorded number, or that of a later record, and the
// recorded hash.
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
	Since       time.Time // to the millisecond; zero: all
	Until       time.Time // inclusive, to the millisecond; zero: all
	Account     string    // empty: all
	Application string    // its name; empty: all
	Action      string    // empty: all
	By          string    // who made the change: the user, their login, or who started sudo; empty: all
	Limit       int       // the newest so many; 0: all
}

// AuditEntry is a numbered event. Its texts are raw: quote them for people.
type AuditEntry struct {
	Seq   int64
	Event shadowsync.Event
}

// page is how many records are read at a time, so that a slow reader of the trail does not block
// writers.
const page = 256

const (
	matches = "(?1 = '' OR account = ?1) AND (?2 IS NULL OR at >= ?2) AND (?3 IS NULL OR at <= ?3) AND (?4 = '' OR event ->> 'action' = ?4)" +
		" AND (?5 = '' OR ?5 IN (event ->> '$.origin.by', event ->> '$.origin.login', event ->> '$.origin.sudo')) AND (?6 = '' OR event ->> 'application' = ?6)"
	auditPage = "SELECT seq, event FROM audit WHERE " + matches + " AND seq > ?7 ORDER BY seq LIMIT ?8"
	auditTail = "SELECT min(seq) FROM (SELECT seq FROM audit WHERE " + matches + " ORDER BY seq DESC LIMIT ?7)"
)

func (q Query) args(more ...any) []any {
	// As in jsonText: every byte that is not UTF-8 becomes U+FFFD.
	text := func(s string) string { return string([]rune(s)) }
	return append([]any{text(q.Account), milli(q.Since), milli(q.Until), text(q.Action), text(q.By), text(q.Application)}, more...)
}

// milli is a time as the column at holds it, or nil for the zero time.
func milli(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// Trail iterates over the selected records, oldest first. It ends after an error.
func (db *DB) Trail(ctx context.Context, q Query) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		after, err := db.auditStart(ctx, q)
		for err == nil {
			var records []AuditEntry
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
		yield(AuditEntry{}, err)
	}
}

// recent is how many of the newest records Recent looks at.
const recent = 10_000

// Recent lists the actions of the newest records, and who made them, each sorted.
func (db *DB) Recent(ctx context.Context) (actions, people []string, err error) {
	const newest = "FROM (SELECT event FROM audit ORDER BY seq DESC LIMIT ?)"
	err = db.read(ctx, "read the audit of", func(tx *tx) error {
		var text string
		for query, to := range map[string]*[]string{
			"SELECT DISTINCT event ->> 'action' AS text " + newest + " ORDER BY text":                                          &actions,
			"SELECT DISTINCT event ->> '$.origin.by' AS text " + newest + " WHERE event ->> '$.origin.by' <> '' ORDER BY text": &people,
		} {
			if err := tx.each(query, []any{recent}, []any{&text}, func() error { *to = append(*to, text); return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	return actions, people, err
}

// alarmsLast is how long an alarm is shown to people.
const alarmsLast = 24 * time.Hour

// Alarms lists the alarms of an application that are still shown at now: the last of each account
// and kind, oldest first.
func (db *DB) Alarms(ctx context.Context, application string, now time.Time) ([]shadowsync.Event, error) {
	var found []shadowsync.Event
	for r, err := range db.Trail(ctx, Query{Since: now.Add(-alarmsLast), Action: shadowsync.ActionAlarm}) {
		if err != nil {
			return nil, err
		}
		if r.Event.Application != application {
			continue
		}
		found = slices.DeleteFunc(found, func(e shadowsync.Event) bool {
			return e.Account == r.Event.Account && e.WrongStore() == r.Event.WrongStore()
		})
		found = append(found, r.Event)
	}
	return found, nil
}

// The actions of records about the administrator's program.
const (
	ActionNotNotified = "not-notified" // it failed
	ActionNotified    = "notified"     // it works again
)

// noticesLast is how far back Notified searches.
const noticesLast = 30 * 24 * time.Hour

// Notified returns the last record about the administrator's program, if there is one.
func (db *DB) Notified(ctx context.Context, now time.Time) (last shadowsync.Event, found bool, err error) {
	for _, action := range []string{ActionNotNotified, ActionNotified} {
		for r, err := range db.Trail(ctx, Query{Since: now.Add(-noticesLast), Action: action}) {
			if err != nil {
				return last, found, err
			}
			if !found || !r.Event.At.Before(last.At) {
				last, found = r.Event, true
			}
		}
	}
	return last, found, nil
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

func (db *DB) auditPage(ctx context.Context, q Query, after int64) ([]AuditEntry, error) {
	var records []AuditEntry
	err := db.read(ctx, "read the audit of", func(tx *tx) error {
		var r AuditEntry
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
