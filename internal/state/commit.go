package state

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Journal puts changes on record before anything is written for them, and takes
// back the sync mark.
//
// An account has one open change, the latest. But a change that PAM or our own
// tool announced is not lost to the watch that notices the same hash a moment
// later: the proven origin stays.
func (db *DB) Journal(ctx context.Context, application string, changes []shadowsync.Change) error {
	return db.write(ctx, "journal to", func(tx *tx) error {
		for _, c := range changes {
			kept, err := tx.keepProven(application, c)
			if err != nil {
				return err
			}
			if err := tx.putChange(application, kept); err != nil {
				return err
			}
		}
		return tx.setMark(application, shadowsync.Revisions{})
	})
}

// keepProven returns what is to be on record when c meets the present open change.
func (t *tx) keepProven(application string, c shadowsync.Change) (shadowsync.Change, error) {
	var row changeRow
	found, err := t.get("SELECT "+changeColumns+" FROM change WHERE application = ? AND account = ?",
		[]any{application, c.Account}, row.dest()...)
	if !found || err != nil {
		return c, err
	}
	old, err := row.change(origins{})
	if err != nil {
		return c, err
	}
	return merged(old, c), nil
}

func merged(old, c shadowsync.Change) shadowsync.Change {
	if old.OS.Hash != c.OS.Hash {
		return c
	}
	c.StoreHash = cmp.Or(c.StoreHash, old.StoreHash) // a proof is not to be had again
	if !old.Origin.SeenBy.Proven() || c.Origin.SeenBy.Proven() {
		return c
	}
	if old.State == shadowsync.Queued {
		return old
	}
	c.Origin = old.Origin
	return c
}

func (t *tx) putChange(application string, c shadowsync.Change) error {
	values, err := changeValues(application, c)
	if err != nil {
		return err
	}
	_, err = t.exec("REPLACE INTO change (application, "+changeColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values...)
	return err
}

// replaceChange puts a change on record unless there is one of another time than seen.
func (t *tx) replaceChange(application string, c shadowsync.Change, seen any) error {
	values, err := changeValues(application, c)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO change (application, "+changeColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET
			state = excluded.state, reason = excluded.reason, verdict = excluded.verdict, os = excluded.os,
			store_hash = excluded.store_hash, origin = excluded.origin, since = excluded.since, fields = excluded.fields
		WHERE since = ?`, append(values, seen)...)
	return err
}

func changeValues(application string, c shadowsync.Change) ([]any, error) {
	origin, err := originText(c.Origin)
	return []any{
		application, c.Account, string(c.State), c.Reason, string(c.Verdict), credentialText(c.OS), c.StoreHash, origin, timeText(c.Since), c.Fields,
	}, err
}

// Commit carries out all transitions in one durable transaction, audit and
// outbox included, and takes back the sync mark. Displaced entries go on record
// in the order given, the last as the newest. The record is trimmed.
func (db *DB) Commit(ctx context.Context, application string, transitions []shadowsync.Transition) error {
	return db.write(ctx, "commit to", func(tx *tx) error {
		now := time.Now()
		var events []shadowsync.Event
		for _, t := range transitions {
			if err := tx.transit(application, t, now); err != nil {
				return err
			}
			events = append(events, t.Events...)
		}
		if err := tx.audit(events...); err != nil {
			return err
		}
		return tx.setMark(application, shadowsync.Revisions{})
	})
}

func (t *tx) transit(application string, tr shadowsync.Transition, now time.Time) error {
	if err := t.putAccount(application, tr); err != nil {
		return err
	}
	if err := t.settleChange(application, tr); err != nil {
		return err
	}
	for _, e := range tr.Displaced {
		if err := t.addEntry(application, tr.Account, e); err != nil {
			return err
		}
	}
	if err := t.trimRecord(application, tr.Account, now); err != nil {
		return err
	}
	if err := t.addPast(application, tr.Account, tr.Past); err != nil {
		return err
	}
	if tr.Logout == nil {
		return nil
	}
	return t.addLogout(application, *tr.Logout)
}

// putAccount moves what the transition moves. A write-back counts; a baseline
// that moved otherwise begins the count anew.
func (t *tx) putAccount(application string, tr shadowsync.Transition) error {
	if tr.Baseline == nil && tr.Origin == nil && !tr.WriteBack {
		return nil
	}
	var os, store, origin any // NULL: unchanged
	if tr.Baseline != nil {
		os, store = credentialText(tr.Baseline.OS), credentialText(tr.Baseline.Store)
	}
	if tr.Origin != nil {
		text, err := originText(*tr.Origin)
		if err != nil {
			return err
		}
		origin = text
	}
	_, err := t.exec(`INSERT INTO account (application, account, os, store, origin, write_backs) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET
			os = coalesce(excluded.os, os), store = coalesce(excluded.store, store), origin = coalesce(excluded.origin, origin),
			write_backs = CASE
				WHEN excluded.write_backs > 0 THEN write_backs + 1
				WHEN excluded.os <> os OR excluded.store <> store THEN 0
				ELSE write_backs END`,
		application, tr.Account, os, store, origin, tr.WriteBack)
	return err
}

// settleChange closes the open change that the transition saw, or puts another in its
// place. What came on record meanwhile is somebody's later word, about which the next
// reconcile decides: a lease may be lost between the last look at it and the commit.
func (t *tx) settleChange(application string, tr shadowsync.Transition) error {
	var seen any // NULL equals nothing
	if tr.Seen != nil {
		seen = timeText(tr.Seen.Since)
	}
	if tr.Open != nil {
		return t.replaceChange(application, *tr.Open, seen)
	}
	_, err := t.exec("DELETE FROM change WHERE application = ? AND account = ? AND since = ?", application, tr.Account, seen)
	return err
}

func (t *tx) addEntry(application, account string, e shadowsync.Entry) error {
	origin, err := originText(e.Origin)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO entry (application, account, seq, os, store, origin, replaced, lost)
		VALUES (?1, ?2, (SELECT coalesce(max(seq), 0) + 1 FROM entry WHERE application = +?1 AND account = +?2), ?3, ?4, ?5, ?6, ?7)`,
		application, account, credentialText(e.OS), credentialText(e.Store), origin, timeText(e.Replaced), e.Lost)
	return err
}

// trimRecord is shadowsync.Record.Trim on the table.
func (t *tx) trimRecord(application, account string, now time.Time) error {
	needed, err := t.neededFor(application, account)
	if err != nil {
		return err
	}
	_, err = t.exec(`DELETE FROM entry WHERE application = ?1 AND account = ?2 AND (replaced < ?3
		OR seq <= (SELECT max(seq) FROM entry WHERE application = +?1 AND account = +?2) - ?4)
		AND seq NOT IN (SELECT value FROM json_each(?5))`,
		application, account, timeText(now.Add(-shadowsync.RecordAge)), shadowsync.RecordEntries, needed)
	return err
}

// neededFor lists the entries, in JSON, that tell which passwords may not come back.
func (t *tx) neededFor(application, account string) (string, error) {
	if t.db.passwords == 0 {
		return "[]", nil
	}
	var seqs []int64
	var record shadowsync.Record
	var seq int64
	var os string
	err := t.each("SELECT seq, os FROM entry WHERE application = +? AND account = +? AND NOT lost ORDER BY seq DESC",
		[]any{application, account}, []any{&seq, &os}, func() error {
			c, err := parseCredential(os)
			seqs, record = append(seqs, seq), append(record, shadowsync.Entry{Baseline: shadowsync.Baseline{OS: c}})
			return err
		})
	if err != nil {
		return "", err
	}
	needed := []int64{}
	for _, i := range record.Newest(t.db.passwords) {
		needed = append(needed, seqs[i])
	}
	text, err := json.Marshal(needed)
	return string(text), err
}

func (t *tx) addPast(application, account string, more shadowsync.Past) error {
	if len(more) == 0 {
		return nil
	}
	var digests string
	if _, err := t.get("SELECT digests FROM past WHERE application = ? AND account = ?", []any{application, account}, &digests); err != nil {
		return err
	}
	past := shadowsync.Past(strings.Fields(digests)).Add(more)
	_, err := t.exec("REPLACE INTO past (application, account, digests) VALUES (?, ?, ?)", application, account, strings.Join(past, " "))
	return err
}

// Mark records the revisions at which everything is in sync; zero: it is not. An
// unchanged mark costs no write.
func (db *DB) Mark(ctx context.Context, application string, at shadowsync.Revisions) error {
	memory, err := db.Load(ctx, application, []string{})
	if err != nil || memory.Synced == at {
		return err
	}
	return db.write(ctx, "mark", func(tx *tx) error { return tx.setMark(application, at) })
}

func (t *tx) setMark(application string, at shadowsync.Revisions) error {
	_, err := t.exec(`INSERT INTO application (name, synced_os, synced_store, synced_config) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET synced_os = excluded.synced_os, synced_store = excluded.synced_store, synced_config = excluded.synced_config
		WHERE (synced_os, synced_store, synced_config) <> (excluded.synced_os, excluded.synced_store, excluded.synced_config)`,
		application, at.OS, at.Store, at.Config)
	return err
}
