package state

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// rememberedWhole bounds the accounts of an application that is kept in memory; more
// would cost a daemon that rests more memory than the reading costs time.
const rememberedWhole = 16

// rememberedFor: what is on record grows old without anybody writing.
const rememberedFor = time.Hour

// recollection is what was last read of an application, good for as long as nobody has
// written since: a change is on its way to the store sooner by the reading.
type recollection struct {
	names   []string
	memory  shadowsync.Memory
	read    time.Time
	version version
}

// version tells one content of the database from another.
type version struct {
	others int    // moves with what other connections commit: PRAGMA data_version
	ours   uint64 // counts the transactions of this one
}

// recollect returns what is known of a few accounts, all of it.
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

// kept is what was read last, if that is what a reading would give.
func (db *DB) kept(ctx context.Context, application string, names []string) (shadowsync.Memory, bool) {
	select {
	case db.turn <- struct{}{}:
		defer func() { <-db.turn }()
	case <-ctx.Done():
		return shadowsync.Memory{}, false
	}
	now, err := (&tx{ctx: ctx, db: db}).version()
	r := db.recollections[application]
	return r.memory, err == nil && r.good(now, names)
}

// keep reads everything, and keeps it.
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
