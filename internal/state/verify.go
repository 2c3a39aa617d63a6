package state

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// ChainError is a place at which the audit trail was tampered with.
type ChainError struct {
	Seq    int64 // the first bad record
	Reason string
}

func (e *ChainError) Error() string { return fmt.Sprintf("audit record %d %s", e.Seq, e.Reason) }

// Verify checks the hash chain of the whole audit trail and returns the number of good records. A
// *ChainError names the first bad one: altered, missing, or cut off the end. Anyone who can write
// the file can recompute the chain, so a proof against root must be kept elsewhere.
func (db *DB) Verify(ctx context.Context) (n int, err error) {
	c := chain{hash: genesis}
	err = db.read(ctx, "verify the audit of", func(tx *tx) (err error) {
		c.anchor, err = tx.anchor()
		return err
	})
	c.seq, c.hash = c.anchor.seq, c.anchor.hash
	for more := true; more && err == nil; {
		err = db.read(ctx, "verify the audit of", func(tx *tx) (err error) {
			more, err = c.advance(tx)
			return err
		})
	}
	return int(c.seq - c.anchor.seq), err
}

// chain is the part of the trail that was found good.
type chain struct {
	seq    int64
	hash   []byte
	anchor anchor
	cut    string // text of the last record of a trim
}

// advance checks a page. At the end of the trail it checks the head in the same transaction,
// because other processes may be appending.
func (c *chain) advance(tx *tx) (more bool, err error) {
	var seq int64
	var event string
	var hash []byte
	err = tx.each("SELECT seq, event, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", []any{c.seq, page},
		[]any{&seq, &event, &hash}, func() error {
			more = true
			return c.add(seq, event, hash)
		})
	if err != nil || more {
		return more, err
	}
	return false, c.checkHead(tx)
}

func (c *chain) add(seq int64, event string, hash []byte) error {
	switch want := link(c.hash, event); {
	case seq != c.seq+1:
		return &ChainError{c.seq + 1, "is missing"}
	case !bytes.Equal(hash, want):
		return &ChainError{seq, "does not fit the one before: it was altered, or something before it was removed"}
	default:
		c.seq, c.hash = seq, want
	}
	if !strings.Contains(event, trimmedMark) {
		return nil
	}
	var e shadowsync.Event
	if err := parseJSON(event, &e); err != nil {
		return err
	}
	if e.Action == actionTrimmed {
		c.cut = e.Reason
	}
	return nil
}

func (c *chain) checkHead(tx *tx) error {
	var seq int64
	hash := genesis
	if _, err := tx.get("SELECT seq, hash FROM audit_head", nil, &seq, &hash); err != nil {
		return err
	}
	switch {
	case c.anchor.seq > 0 && c.cut != c.anchor.String():
		return &ChainError{c.anchor.seq + 1, "is the first, and no record explains why the records before it are gone"}
	case seq > c.seq:
		return &ChainError{c.seq + 1, fmt.Sprintf("is missing, and all up to record %d: the end was cut off", seq)}
	case seq < c.seq || !bytes.Equal(hash, c.hash):
		return &ChainError{c.seq, "is not the one that was written last"}
	}
	return nil
}
