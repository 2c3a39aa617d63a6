package state

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Held is a state that is about to be replaced: no other process reads or writes it.
type Held struct {
	db   *DB
	tx   *tx
	over bool
}

// Position is a record of the audit trail; it identifies the trail.
type Position struct {
	Seq  int64  `json:"seq"`
	Hash []byte `json:"hash"`
}

func (p Position) String() string {
	return fmt.Sprintf("record %d, whose hash is %s", p.Seq, hex.EncodeToString(p.Hash))
}

// Hold locks the state in the folder dir of the system below root, to replace it by the database at
// path, which Renew has made. Other processes wait until Close. The file stays the same, so
// processes that have it open can go on.
func Hold(ctx context.Context, root, dir, path string) (*Held, error) {
	db, err := OpenIn(ctx, root, dir)
	if err != nil {
		return nil, err
	}
	h := &Held{db: db, tx: &tx{ctx: ctx, db: db}}
	// A large state does not fit into memory as a whole.
	_, err = db.conn.ExecContext(ctx, "PRAGMA cache_spill = ON")
	if err == nil {
		err = attach(ctx, db.conn, path, "ro")
	}
	if err == nil {
		err = db.patiently(ctx, func() error { return h.tx.begin("BEGIN EXCLUSIVE") })
	}
	if err != nil {
		return nil, errors.Join(db.fault("hold", err), db.Close())
	}
	return h, nil
}

// MergeFactors returns what holds after a restore of second factors, given those that are replaced and
// those of the backup.
type MergeFactors func(live, backup []factor.Record) ([]factor.Merged, error)

// Replace replaces this state, tables included, by the other, and appends an event to its trail.
// The event function gets the end of the replaced trail. Replace returns the position of that
// record. Nothing is durable before Commit returns nil.
func (h *Held) Replace(ctx context.Context, merge MergeFactors, event func(was string) shadowsync.Event) (Position, error) {
	at, err := h.replace(ctx, merge, event)
	if err != nil {
		return Position{}, h.db.fault("replace", err)
	}
	return at, nil
}

func (h *Held) replace(ctx context.Context, merge MergeFactors, event func(was string) shadowsync.Event) (at Position, err error) {
	was := "a record that cannot be read any more" // a state that has lost its tables
	if seq, hash, err := h.tx.head(); err == nil {
		was = Position{seq, hash}.String()
	}
	live, _ := h.tx.factors() // what cannot be read cannot hold against the backup's
	for _, kind := range []string{"trigger", "view", "index", "table"} {
		if err := drop(ctx, h.db.conn, kind); err != nil {
			return at, err
		}
	}
	for _, step := range migrations {
		if err := h.tx.run(step); err != nil {
			return at, err
		}
	}
	if err := copyRows(ctx, h.db.conn); err != nil {
		return at, err
	}
	if err := h.tx.settleFactors(live, merge); err != nil {
		return at, err
	}
	// An application that runs meanwhile remembers values that this older state does not know.
	if err := h.tx.run("UPDATE application SET past_unknown = 1"); err != nil {
		return at, err
	}
	if err := h.tx.audit(event(was)); err != nil {
		return at, err
	}
	at.Seq, at.Hash, err = h.tx.head()
	return at, err
}

// Commit makes the replacement durable.
func (h *Held) Commit(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		err = h.tx.run("COMMIT")
	}
	if err != nil {
		return h.db.fault("replace", err)
	}
	h.over = true
	return nil
}

// Close lets other processes in again, and undoes what was not committed.
func (h *Held) Close() error {
	if !h.over {
		h.over = true
		_ = h.tx.run("ROLLBACK") // an error means that SQLite has rolled back by itself
	}
	return h.db.Close()
}

// OpenImage opens a database that Renew has made.
func OpenImage(ctx context.Context, path string) (*DB, error) {
	folder, err := inroot.OpenFolder("/", filepath.Dir(path)) // it may lead through an open folder
	if err != nil {
		return nil, err
	}
	return openFile(ctx, folder, filepath.Base(path), migrations)
}

// Note appends an event to the trail of a database that Renew has made and that will replace a
// state that cannot be opened, and merges into it the second factors that could be read from that.
func Note(ctx context.Context, path string, live []factor.Record, merge MergeFactors, event shadowsync.Event) (at Position, err error) {
	db, err := OpenImage(ctx, path)
	if err != nil {
		return at, err
	}
	err = db.write(ctx, "record in", func(tx *tx) error {
		if err := tx.settleFactors(live, merge); err != nil {
			return err
		}
		if err := tx.audit(event); err != nil {
			return err
		}
		at.Seq, at.Hash, err = tx.head()
		return err
	})
	return at, errors.Join(err, db.Close())
}

// Holds reports whether the trail has that record.
func (db *DB) Holds(ctx context.Context, at Position) (there bool, err error) {
	err = db.read(ctx, "read the audit of", func(tx *tx) error {
		var one int
		there, err = tx.get("SELECT 1 FROM audit WHERE seq = ? AND hash = ?", []any{at.Seq, at.Hash}, &one)
		return err
	})
	return there, err
}
