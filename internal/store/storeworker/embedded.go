package storeworker

import (
	"context"
	"errors"
	"fmt"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// maxAll bounds the size of a whole store that a worker may send, in bytes of names and password
// fields.
const maxAll = 32 << 20

var _ driver.Embedded = (*Client)(nil)

// All implements driver.Embedded.
func (c *Client) All(ctx context.Context) (rows []driver.Row, err error) {
	err = c.call(ctx, func() error {
		if err := c.conn.Send(ctx, request{Op: opAll, Within: within(ctx)}); err != nil {
			return err
		}
		rows, err = c.receiveAll(ctx)
		return err
	})
	return rows, err
}

// receiveAll accepts each name once, in sorted order.
func (c *Client) receiveAll(ctx context.Context) (rows []driver.Row, err error) {
	last, size := "", 0
	for {
		a, err := c.receive(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range a.Records {
			size += len(r.Name) + len(r.Credential.Password)
			if r.Name <= last || len(r.Name) > maxName || len(r.Credential.Password) > maxPassword || size > maxAll {
				return nil, errLie
			}
			last = r.Name
			record := shadowsync.StoredAccount{Credential: r.Credential.unpack(c.capabilities), ChangedAt: timeOf(r.ChangedAt)}
			rows = append(rows, driver.Row{Name: r.Name, StoredAccount: record})
		}
		switch {
		case !a.More:
			return rows, nil
		case len(a.Records) == 0:
			return nil, errLie
		}
	}
}

// Hold implements driver.Embedded. Until Close the client serves no other call.
func (c *Client) Hold(ctx context.Context) (driver.Held, error) {
	if err := c.order(ctx, opHold); err != nil {
		return nil, err
	}
	return &held{client: c}, nil
}

// order sends an operation that has no result.
func (c *Client) order(ctx context.Context, op string) error {
	return c.call(ctx, func() error {
		if err := c.conn.Send(ctx, request{Op: op, Within: within(ctx)}); err != nil {
			return err
		}
		_, err := c.receive(ctx)
		return err
	})
}

type held struct {
	client *Client
	over   bool
}

// Replace implements driver.Held.
func (h *held) Replace(ctx context.Context, rows []driver.Row) error {
	list := make([]write, 0, len(rows))
	for _, r := range rows {
		list = append(list, write{Name: r.Name, Want: pack(r.Credential), At: milliseconds(r.ChangedAt)})
	}
	return h.client.call(ctx, func() error {
		err := sendList(ctx, h.client.conn, list, func(part []write, more bool) any {
			return request{Op: opReplace, Within: within(ctx), Writes: part, More: more}
		})
		if err != nil {
			return err
		}
		_, err = h.client.receive(ctx)
		return err
	})
}

// Commit implements driver.Held.
func (h *held) Commit(ctx context.Context) error {
	err := h.client.order(ctx, opCommit)
	h.over = h.over || err == nil
	return err
}

// Close implements driver.Held. If the worker does not answer, Close ends it, and with it the
// transaction.
func (h *held) Close() error {
	if h.over || !h.client.Usable() {
		return nil
	}
	h.over = true
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	if err := h.client.order(ctx, opRelease); err != nil {
		return errors.Join(err, h.client.Close())
	}
	return nil
}

var errNotEmbedded = driver.Malformed("the store is the application's own: a backup does not hold it")

func (s *server) serveEmbedded(ctx, work context.Context, r request) error {
	e, ok := s.store.(driver.Embedded)
	switch {
	case !ok:
		return s.conn.Send(ctx, answer{Fault: packError(errNotEmbedded)})
	case (r.Op == opAll || r.Op == opHold) == (s.held != nil):
		return fmt.Errorf("operation %q out of turn", r.Op)
	}
	var err error
	switch r.Op {
	case opAll:
		return s.all(ctx, work, e)
	case opHold:
		s.held, err = e.Hold(work)
	case opReplace:
		err = s.held.Replace(work, unpackRows(r.Writes, e.Capabilities()))
	case opCommit:
		if err = s.held.Commit(work); err == nil {
			s.held = nil
		}
	case opRelease:
		err = s.letGo()
	}
	return s.conn.Send(ctx, answer{Fault: packError(err)})
}

func (s *server) all(ctx, work context.Context, e driver.Embedded) error {
	rows, err := e.All(work)
	if err != nil {
		return s.conn.Send(ctx, answer{Fault: packError(err)})
	}
	records := make([]record, 0, len(rows))
	for _, r := range rows {
		records = append(records, record{Name: r.Name, Credential: pack(r.Credential), ChangedAt: milliseconds(r.ChangedAt)})
	}
	return sendList(ctx, s.conn, records, func(part []record, more bool) any { return answer{Records: part, More: more} })
}

func unpackRows(packed []write, of shadowsync.Capabilities) []driver.Row {
	rows := make([]driver.Row, 0, len(packed))
	for _, w := range packed {
		rows = append(rows, driver.Row{Name: w.Name, StoredAccount: shadowsync.StoredAccount{Credential: w.Want.unpack(of), ChangedAt: timeOf(w.At)}})
	}
	return rows
}

// letGo ends a transaction that the client left open.
func (s *server) letGo() error {
	if s.held == nil {
		return nil
	}
	err := s.held.Close()
	s.held = nil
	return err
}
