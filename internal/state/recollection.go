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

// recollection is the last reading of an application. It is valid until the next write, and saves
// the reading before a change goes to the store.
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

// kept returns the last reading, if it is still valid.
func (db *DB) kept(ctx context.Context, application string, names []string) (shadowsync.Memory, bool) {
	select {
	case db.turn <- struct{}{}:
		defer func() { <-db.turn }()
	case <-ctx.Done():
		return shadowsync.Memory{}, false
	}
	now, err := (&tx{ctx: ctx, db: db}).version()
	r := db.recollections[application]
	return r.memory, err == nil && db.still() == nil && r.good(now, names)
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

func (r recollection) good(now version, names []string) bool {
	return r.version == now && time.Since(r.read) < rememberedFor && slices.Equal(r.names, names)
}

func (t *tx) version() (version, error) {
	v := version{ours: t.db.writes}
	_, err := t.get("PRAGMA data_version", nil, &v.others)
	return v, err
}
