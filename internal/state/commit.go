package state

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Journal records changes before anything is written for them, and clears the sync mark.
//
// An account has one open change, the latest. But the watch notices the hash of a change
// that PAM or our own tool announced a moment earlier: then the announced origin stays.
func (db *DB) Journal(ctx context.Context, application string, changes []shadowsync.Change) error {
	return db.write(ctx, "journal to", func(tx *tx) error {
		rows := make([]changeRow, len(changes))
		for i, c := range changes {
			kept, err := tx.keepAnnounced(application, c)
			if err == nil {
				rows[i], err = rowOf(kept)
			}
			if err == nil {
				err = tx.putChange(application, rows[i])
			}
			if err != nil {
				return err
			}
		}
		if err := tx.setMark(application, shadowsync.Revisions{}); err != nil {
			return err
		}
		return tx.carry(application, func(r *recollection) error {
			r.memory.Synced = shadowsync.Revisions{}
			for _, row := range rows {
				if err := r.open(row); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// keepAnnounced returns what to record when c meets the present open change.
func (t *tx) keepAnnounced(application string, c shadowsync.Change) (shadowsync.Change, error) {
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
	c.StoreHash = cmp.Or(c.StoreHash, old.StoreHash) // a proof cannot be repeated
	if !old.Origin.SeenBy.Announced() || c.Origin.SeenBy.Announced() {
		return c
	}
	if old.State == shadowsync.Queued {
		return old
	}
	c.Origin = old.Origin
	return c
}

func (t *tx) putChange(application string, row changeRow) error {
	_, err := t.exec("REPLACE INTO change (application, "+changeColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row.values(application)...)
	return err
}

// replaceChange records a change, unless the present one was made at another time than seen.
func (t *tx) replaceChange(application string, c shadowsync.Change, seen any) error {
	row, err := rowOf(c)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO change (application, "+changeColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET
			state = excluded.state, reason = excluded.reason, verdict = excluded.verdict, os = excluded.os,
			store_hash = excluded.store_hash, origin = excluded.origin, since = excluded.since, fields = excluded.fields
		WHERE since = ?`, append(row.values(application), seen)...)
	return err
}

// Commit carries out all transitions in one durable transaction, including audit and outbox, and
// clears the sync mark. Displaced entries are recorded in the given order, the last as the newest.
// The record is trimmed.
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
	if tr.Successor {
		if err := t.forget(application, tr.Account); err != nil {
			return err
		}
	}
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
	if tr.Returned != nil {
		if err := t.countReturn(application, tr.Account, *tr.Returned); err != nil {
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

// forget drops the record of the former owner of an account's name, and their second factor. The digests of what the
// application may remember stay: its old values must not reach the new owner either.
func (t *tx) forget(application, account string) error {
	for _, query := range []string{
		"DELETE FROM entry WHERE application = ? AND account = ?",
		"UPDATE account SET os = NULL, store = NULL, origin = NULL, write_backs = 0 WHERE application = ? AND account = ?",
	} {
		if _, err := t.exec(query, application, account); err != nil {
			return err
		}
	}
	return t.dropFactor(account)
}

// putAccount updates what the transition changes. A write-back is counted; a baseline that moved
// otherwise resets the count.
func (t *tx) putAccount(application string, tr shadowsync.Transition) error {
	if tr.Baseline == nil && tr.Origin == nil && !tr.WriteBack && tr.Person == "" {
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
	_, err := t.exec(`INSERT INTO account (application, account, os, store, origin, write_backs, person) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET
			person = CASE excluded.person WHEN '' THEN person ELSE excluded.person END,
			os = coalesce(excluded.os, os), store = coalesce(excluded.store, store), origin = coalesce(excluded.origin, origin),
			write_backs = CASE
				WHEN excluded.write_backs > 0 THEN write_backs + 1
				WHEN excluded.os <> os OR excluded.store <> store THEN 0
				ELSE write_backs END`,
		application, tr.Account, os, store, origin, tr.WriteBack, tr.Person)
	return err
}

// settleChange closes the open change that the transition saw, or replaces it. A change that was
// recorded meanwhile is later news, about which the next reconcile decides: a lease may be lost
// between the last check of it and the commit.
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
		VALUES (?1, ?2, (SELECT coalesce(max(seq), 0) + 1 FROM entry WHERE application = +?1 AND account = +?2), ?3, ?4,
		CASE ?8 WHEN '' THEN ?5 ELSE json_set(?5, '$.next', ?8) END, ?6, ?7)`,
		application, account, credentialText(e.OS), credentialText(e.Store), origin, timeText(e.Replaced), e.Lost, e.Next)
	return err
}

// countReturn counts that a recorded value came back. The count is stored as a member of the
// origin's JSON, as what took the value's place is.
func (t *tx) countReturn(application, account string, e shadowsync.Entry) error {
	_, err := t.exec(`UPDATE entry SET origin = json_set(origin, '$.returns', ?5)
		WHERE application = ?1 AND account = ?2 AND os = ?3 AND replaced = ?4`,
		application, account, credentialText(e.OS), timeText(e.Replaced), e.Returns+1)
	return err
}

// trimRecord is shadowsync.Record.Trim on the table. An account has few entries: reading them costs
// less than a statement that decides all of it.
func (t *tx) trimRecord(application, account string, now time.Time) error {
	var seqs []int64
	var record shadowsync.Record
	var seq int64
	var e shadowsync.Entry
	var os, replaced string
	err := t.each(`SELECT seq, os, replaced, lost, coalesce(origin ->> 'returns', 0) FROM entry
		WHERE application = +? AND account = +? ORDER BY seq DESC`,
		[]any{application, account}, []any{&seq, &os, &replaced, &e.Lost, &e.Returns}, func() (err error) {
			if e.OS, err = parseCredential(os); err == nil {
				e.Replaced, err = parseTime(replaced)
			}
			seqs, record = append(seqs, seq), append(record, e)
			return err
		})
	if err != nil {
		return err
	}
	for i, keep := range record.Kept(now, t.db.passwords) {
		if keep {
			continue
		}
		if _, err := t.exec("DELETE FROM entry WHERE application = ? AND account = ? AND seq = ?", application, account, seqs[i]); err != nil {
			return err
		}
	}
	return nil
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

// Mark records the revisions at which everything is in sync; the zero value means that it is not.
// An unchanged mark costs no write.
func (db *DB) Mark(ctx context.Context, application string, at shadowsync.Revisions) error {
	memory, err := db.Load(ctx, application, []string{})
	if err != nil || memory.Synced == at {
		return err
	}
	return db.write(ctx, "mark", func(tx *tx) error {
		if err := tx.setMark(application, at); err != nil {
			return err
		}
		return tx.carry(application, func(r *recollection) error {
			r.memory.Synced = at
			return nil
		})
	})
}

func (t *tx) setMark(application string, at shadowsync.Revisions) error {
	_, err := t.exec(`INSERT INTO application (name, synced_os, synced_store, synced_config) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET synced_os = excluded.synced_os, synced_store = excluded.synced_store, synced_config = excluded.synced_config
		WHERE (synced_os, synced_store, synced_config) <> (excluded.synced_os, excluded.synced_store, excluded.synced_config)`,
		application, at.OS, at.Store, at.Config)
	return err
}
