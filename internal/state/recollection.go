package state

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// rememberedWhole is the largest number of accounts for which an application is kept in memory. For
// more, the memory of an idle daemon costs more than the reading saves.
const rememberedWhole = 16

// rememberedFor limits a recollection's age: entries reach their maximum age without any write.
const rememberedFor = time.Hour

// recollection is the last reading of an application, with what this connection changed since (carry).
// It is valid until another write, and saves the reading before a change goes to the store.
type recollection struct {
	names   []string
	memory  shadowsync.Memory
	read    time.Time
	version version
}

// version identifies one content of the database.
type version struct {
	others int    // changes when other connections commit: PRAGMA data_version
	ours   uint64 // counts the transactions of this connection
}

// recollect returns everything that is recorded about a few accounts.
func (db *DB) recollect(ctx context.Context, application string, names []string) (shadowsync.Memory, error) {
	memory, ok := db.kept(ctx, application, names)
	if !ok {
		var err error
		if memory, err = db.keep(ctx, application, names); err != nil {
			return shadowsync.Memory{}, err
		}
	}
	memory.Accounts = maps.Clone(memory.Accounts)
	return memory, nil
}

// kept returns the last reading, if it is still valid and was one of these accounts.
func (db *DB) kept(ctx context.Context, application string, names []string) (shadowsync.Memory, bool) {
	r, ok := db.valid(ctx, application)
	return r.memory, ok && slices.Equal(r.names, names)
}

// valid returns the last reading and whether the state still has that content.
func (db *DB) valid(ctx context.Context, application string) (recollection, bool) {
	select {
	case db.turn <- struct{}{}:
		defer func() { <-db.turn }()
	case <-ctx.Done():
		return recollection{}, false
	}
	r, ok := db.recollections[application]
	if !ok || time.Since(r.read) >= rememberedFor {
		return r, false
	}
	now, err := (&tx{ctx: ctx, db: db}).version()
	return r, err == nil && db.still() == nil && r.version == now
}

// recalled is what Load would read about a few accounts, from a valid last reading that has them all.
func (db *DB) recalled(ctx context.Context, application string, names []string) (shadowsync.Memory, bool) {
	if names == nil || len(names) > rememberedWhole {
		return shadowsync.Memory{}, false
	}
	r, ok := db.valid(ctx, application)
	if !ok {
		return shadowsync.Memory{}, false
	}
	memory := r.memory
	memory.Whole, memory.Accounts = false, make(map[string]shadowsync.AccountMemory, len(names))
	for _, name := range names {
		if !slices.Contains(r.names, name) {
			return shadowsync.Memory{}, false
		}
		if m, ok := r.memory.Accounts[name]; ok {
			memory.Accounts[name] = m
		}
	}
	return memory, true
}

// keep reads everything, and remembers it.
func (db *DB) keep(ctx context.Context, application string, names []string) (shadowsync.Memory, error) {
	l := newLoader(application)
	err := db.read(ctx, "read", func(tx *tx) error {
		l.tx = tx
		now, err := tx.version()
		if err == nil {
			err = l.everything(names, (*loader).load)
		}
		if err != nil {
			return err
		}
		l.memory.Whole = true
		db.recollections[application] = recollection{slices.Clone(names), l.memory, l.now, now}
		return nil
	})
	return l.memory, err
}

// carry lets the last reading of an application outlive this transaction, by making the same change
// in it. Nothing else may have written since that reading; this transaction holds the file, so
// nothing else writes before its end. If the transaction fails, the reading is no longer used.
func (t *tx) carry(application string, change func(*recollection) error) error {
	r, ok := t.db.recollections[application]
	if !ok {
		return nil
	}
	now, err := t.version()
	if err != nil {
		return err
	}
	if before := (version{now.others, now.ours - 1}); r.version != before {
		return nil
	}
	r.version, r.memory.Accounts = now, maps.Clone(r.memory.Accounts) // others may have the former map
	if err := change(&r); err != nil {
		return err
	}
	t.carried = func() { t.db.recollections[application] = r }
	return nil
}

// open puts an open change in, as a reading would return it.
func (r *recollection) open(row changeRow) error {
	c, err := row.change(origins{})
	if err != nil || !slices.Contains(r.names, c.Account) {
		return err
	}
	m := r.memory.Accounts[c.Account]
	m.Open = &c
	r.memory.Accounts[c.Account] = m
	return nil
}

func (t *tx) version() (version, error) {
	v := version{ours: t.db.writes}
	_, err := t.get("PRAGMA data_version", nil, &v.others)
	return v, err
}
