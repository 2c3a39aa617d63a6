package sqlite

import (
	"context"
	"errors"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var _ driver.Embedded = (*Store)(nil)

// All implements driver.Embedded.
func (s *Store) All(ctx context.Context) (rows []driver.Row, err error) {
	err = s.transact(ctx, beginRead, func(c *connection) error {
		if _, err := s.revision(c); err != nil {
			return err
		}
		rows, err = allRows(ctx, c)
		return err
	})
	return rows, err
}

// allRows reads every account. A row that the schema does not allow fails the whole reading:
// otherwise a backup would silently lack it.
func allRows(ctx context.Context, c *connection) (all []driver.Row, err error) {
	s, err := c.prepare("SELECT name, " + columns + ", changed_at FROM credential ORDER BY name")
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for size := 0; rows.Next(); {
		var r driver.Row
		var changed int64
		if r.Credential, err = scanCredential(rows, []any{&r.Name}, []any{&changed}); err != nil {
			return nil, err
		}
		if why := refuse(shadowsync.Write{Name: r.Name, Want: r.Credential}); why != nil {
			return nil, driver.Malformed("a row of credential holds what its schema does not allow: %v", why)
		}
		if size += len(r.Name) + len(r.Hash); size > maxLength {
			return nil, driver.Malformed("credential holds more than %d bytes", maxLength)
		}
		r.ChangedAt = timeOf(changed)
		all = append(all, r)
	}
	return all, rows.Err()
}

// held is the store in a transaction that keeps all others out. It holds store.turn.
type held struct {
	store *Store
	open  *connection
	over  bool
}

// Hold implements driver.Embedded.
func (s *Store) Hold(ctx context.Context) (driver.Held, error) {
	s.turn.Lock()
	c, err := s.connect(ctx)
	if err == nil {
		err = c.begin(ctx, beginAlone)
	}
	if err == nil {
		_, err = s.revision(c)
	}
	if err != nil {
		defer s.turn.Unlock()
		s.disconnect()
		return nil, s.fault(err)
	}
	return &held{store: s, open: c}, nil
}

var errOver = errors.New("the transaction is over")

// Replace implements driver.Held.
func (h *held) Replace(ctx context.Context, rows []driver.Row) error {
	if h.over {
		return errOver
	}
	return h.store.fault(h.open.replaceAll(ctx, rows))
}

func (c *connection) replaceAll(ctx context.Context, rows []driver.Row) error {
	if err := c.exec("DELETE FROM credential"); err != nil {
		return err
	}
	for _, r := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		why, err := c.write(shadowsync.Write{Name: r.Name, Want: r.Credential, Create: true})
		if err == nil && why != nil {
			err = driver.Malformed("it cannot hold the account %s: %v", r.Name, why)
		}
		if err == nil && !r.ChangedAt.IsZero() { // the trigger has set the present time
			err = c.exec("UPDATE credential SET changed_at = ? WHERE name = ?", r.ChangedAt.UnixMilli(), r.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Commit implements driver.Held.
func (h *held) Commit(ctx context.Context) error {
	if h.over {
		return errOver
	}
	if err := ctx.Err(); err != nil {
		return h.store.fault(err)
	}
	if err := h.open.commit(); err != nil {
		return h.store.fault(err)
	}
	h.over = true
	h.store.keep()
	h.store.turn.Unlock()
	return nil
}

// Close implements driver.Held.
func (h *held) Close() error {
	if h.over {
		return nil
	}
	h.over = true
	h.store.disconnect() // this rolls back what is not committed
	h.store.turn.Unlock()
	return nil
}
