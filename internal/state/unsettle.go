package state

import (
	"context"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Unsettle removes the baseline of accounts, so that nothing tells which side moved, and a person
// decides if the two sides differ. The former baseline goes into the record, from which it can be
// put back. An open change is outdated, and is deleted.
func (db *DB) Unsettle(ctx context.Context, application string, accounts []string, now time.Time) error {
	memory, err := db.Load(ctx, application, accounts)
	if err != nil {
		return err
	}
	return db.write(ctx, "unsettle", func(tx *tx) error {
		for _, name := range accounts {
			if err := tx.unsettle(application, name, memory.Accounts[name], now); err != nil {
				return err
			}
		}
		return tx.setMark(application, shadowsync.Revisions{})
	})
}

func (t *tx) unsettle(application, account string, m shadowsync.AccountMemory, now time.Time) error {
	if m.Baseline != nil {
		e := shadowsync.Entry{Baseline: *m.Baseline, Replaced: now}
		if m.LastChange != nil {
			e.Origin = *m.LastChange
		}
		if err := t.addEntry(application, account, e); err != nil {
			return err
		}
	}
	if _, err := t.exec("UPDATE account SET os = NULL, store = NULL, write_backs = 0 WHERE application = ? AND account = ?", application, account); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM change WHERE application = ? AND account = ?", application, account)
	return err
}

// End is the last record of the trail.
func (db *DB) End(ctx context.Context) (at Position, err error) {
	err = db.read(ctx, "read the audit of", func(tx *tx) error {
		at.Seq, at.Hash, err = tx.head()
		return err
	})
	return at, err
}
