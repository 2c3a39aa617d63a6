package storeworker

import (
	"context"
	"errors"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var _ shadowsync.WriteReader = (*Client)(nil)

// Write implements shadowsync.CredentialStore.
func (c *Client) Write(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	o := newOrder(writes)
	err := c.call(ctx, func() error {
		if err := o.send(ctx, c.conn); err != nil {
			return err
		}
		return c.receiveLeft(ctx, o.asked, o.left)
	})
	if err != nil {
		return nil, err
	}
	return o.left, nil
}

// readBackMost is the largest number of accounts that WriteRead reads: their question fits into the
// socket while the worker does not yet receive it.
const readBackMost = 16

// WriteRead implements shadowsync.WriteReader. The worker finds the question to read when it has
// written, and so does not wait until this process has its answer and asks.
func (c *Client) WriteRead(ctx context.Context, writes []shadowsync.Write) (left shadowsync.Unwritten, back *shadowsync.StoreSnapshot, err error) {
	if len(writes) > readBackMost {
		left, err = c.Write(ctx, writes)
		return left, nil, err
	}
	o := newOrder(writes)
	q := newQuestion(o.names())
	err = c.call(ctx, func() error {
		if err := o.send(ctx, c.conn); err != nil {
			return err
		}
		if err := q.send(ctx, c.conn); err != nil {
			return err
		}
		err := c.receiveLeft(ctx, o.asked, o.left)
		if err != nil && !isFault(err) {
			return err
		}
		switch unread := c.receiveRecords(ctx, q.asked, &q.snapshot); {
		case unread == nil && err == nil:
			back = &q.snapshot
		case unread != nil && !isFault(unread): // the worker has written, or not, as err says
			_ = c.Close()
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return o.left, back, nil
}

// order is what Write asks for, and what it gets.
type order struct {
	asked map[string]bool
	list  []write
	left  shadowsync.Unwritten
}

func newOrder(writes []shadowsync.Write) *order {
	o := &order{asked: make(map[string]bool, len(writes)), list: make([]write, 0, len(writes)), left: make(shadowsync.Unwritten)}
	for _, w := range writes {
		if len(w.Name) > maxName || max(len(w.Want.Password()), len(w.Expect.Password())) > maxPassword {
			o.left[w.Name] = &shadowsync.RefusedError{Reason: "the account's name or its password field is too long"}
			continue
		}
		o.asked[w.Name] = true
		o.list = append(o.list, write{Name: w.Name, Expect: pack(w.Expect), Want: pack(w.Want), Create: w.Create, Delete: w.Delete})
	}
	return o
}

func (o *order) names() []string {
	names := make([]string, len(o.list))
	for i, w := range o.list {
		names[i] = w.Name
	}
	return names
}

func (o *order) send(ctx context.Context, conn *socket.Conn) error {
	return sendList(ctx, conn, o.list, func(part []write, more bool) any {
		return request{Op: opWrite, Within: within(ctx), Writes: part, More: more}
	})
}

func (c *Client) receiveLeft(ctx context.Context, asked map[string]bool, left shadowsync.Unwritten) error {
	for {
		a, err := c.receive(ctx)
		if err != nil {
			return err
		}
		for _, l := range a.Left {
			why := l.Why.unpack()
			if !asked[l.Name] || ofStore(why) || errors.Is(why, errLie) {
				return errLie
			}
			delete(asked, l.Name)
			left[l.Name] = why
		}
		switch {
		case !a.More:
			return nil
		case len(a.Left) == 0:
			return errLie
		}
	}
}
