package storeworker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var (
	errGone = errors.New("the store's worker has ended")
	errLie  = errors.New("the store's worker sent an invalid answer")
)

// Client is a credential store in a worker. Its calls run one at a time.
type Client struct {
	conn         *socket.Conn
	capabilities shadowsync.Capabilities
	turn         chan struct{} // holds one element while a call is running
	release      func() error  // ends the worker

	close  sync.Once
	closed chan struct{}
	result error
}

var _ shadowsync.CredentialStore = (*Client)(nil)

// Connect opens the store in the worker at the other end of conn. The client owns conn from here
// on, even if this fails.
func Connect(ctx context.Context, conn *socket.Conn, options store.Options) (*Client, error) {
	return connect(ctx, conn, request{Options: &options}, func() error { return nil })
}

// ConnectLooking is Connect for a worker that is uid 0 with LookCapabilities. It looks up the store
// file's owner itself and becomes that user before it opens the store.
func ConnectLooking(ctx context.Context, conn *socket.Conn, options store.Options) (*Client, error) {
	return connect(ctx, conn, request{Options: &options, Become: true, Looks: true}, func() error { return nil })
}

// Attach opens the store in a worker that somebody else started. The client owns it from here on, even
// if this fails.
func Attach(ctx context.Context, p *worker.Process, options store.Options) (*Client, error) {
	return connect(ctx, p.Conn, request{Options: &options}, p.End)
}

func connect(ctx context.Context, conn *socket.Conn, first request, release func() error) (*Client, error) {
	d, err := store.Find(first.Options.Driver)
	if err != nil {
		return nil, errors.Join(err, conn.Close(), release())
	}
	c := &Client{conn: conn, release: release, turn: make(chan struct{}, 1), closed: make(chan struct{})}
	err = c.call(ctx, func() error {
		if err := conn.SetLimits(socket.MaxPacket, 0); err != nil { // a worker never sends a descriptor
			return err
		}
		first.Op, first.Within = opOpen, within(ctx)
		if err := sendFirst(ctx, conn, first, d); err != nil {
			return err
		}
		a, err := c.receive(ctx)
		if err != nil {
			return err
		}
		if a.Capabilities == nil {
			return errLie
		}
		c.capabilities = *a.Capabilities
		c.capabilities.Fields &= d.Fields
		if c.capabilities.Opaque() {
			c.capabilities.Fields &= shadowsync.FieldHash
		}
		return nil
	})
	if err != nil {
		_ = c.Close() // the first error says more
		return nil, err
	}
	return c, nil
}

func sendFirst(ctx context.Context, conn *socket.Conn, first request, d driver.Driver) error {
	if d.Placement(*first.Options) != driver.NetworkWorker {
		return conn.Send(ctx, first)
	}
	files, err := equipment(*first.Options)
	if err != nil {
		return err
	}
	defer socket.CloseAll(files)
	first.Equipped = true
	return conn.Send(ctx, first, files...)
}

// Capabilities implements shadowsync.CredentialStore.
func (c *Client) Capabilities() shadowsync.Capabilities { return c.capabilities }

// Usable reports whether the worker may still answer. Once it is false it stays false, and a new
// worker is needed.
func (c *Client) Usable() bool {
	select {
	case <-c.closed:
		return false
	default:
		return true
	}
}

// Close ends the worker.
func (c *Client) Close() error {
	c.close.Do(func() {
		close(c.closed)
		c.result = errors.Join(c.conn.Close(), c.release())
	})
	return c.result
}

// call runs one exchange. An error that is not the store's own ends the connection, because the
// next packet on it could answer any request.
func (c *Client) call(ctx context.Context, exchange func() error) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return driver.Unavailable(context.Cause(ctx))
	}
	if !c.Usable() {
		return driver.Unavailable(errGone)
	}
	err := exchange()
	if err == nil || isFault(err) {
		return err
	}
	_ = c.Close() // the first error says more
	switch {
	case ctx.Err() != nil:
		return driver.Unavailable(context.Cause(ctx))
	case errors.Is(err, errLie):
		return driver.Unavailable(errLie)
	}
	return &driver.Fault{Kind: shadowsync.ErrUnavailable, Reason: errGone.Error(), Cause: err}
}

func isFault(err error) bool {
	var fault *driver.Fault
	return errors.As(err, &fault)
}

// receive receives one packet of an answer.
func (c *Client) receive(ctx context.Context) (answer, error) {
	var a answer
	if _, err := c.conn.Receive(ctx, &a); err != nil {
		return answer{}, err
	}
	if len(a.Revision) > maxText {
		return answer{}, errLie
	}
	if a.Fault == nil {
		return a, nil
	}
	err := a.Fault.unpack()
	if !isFault(err) {
		err = errLie // an error of one account, sent for the whole store
	}
	return answer{}, err
}

// Revision implements shadowsync.CredentialStore.
func (c *Client) Revision(ctx context.Context) (revision string, err error) {
	err = c.call(ctx, func() error {
		if err := c.conn.Send(ctx, request{Op: opRevision, Within: within(ctx)}); err != nil {
			return err
		}
		a, err := c.receive(ctx)
		revision = a.Revision
		return err
	})
	return revision, err
}

// Read implements shadowsync.CredentialStore.
func (c *Client) Read(ctx context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	q := newQuestion(names)
	err := c.call(ctx, func() error {
		if err := q.send(ctx, c.conn); err != nil {
			return err
		}
		return c.receiveRecords(ctx, q.asked, &q.snapshot)
	})
	if err != nil {
		return shadowsync.StoreSnapshot{}, err
	}
	return q.snapshot, nil
}

// question is what Read asks for, and what it gets.
type question struct {
	asked    map[string]bool
	list     []string
	snapshot shadowsync.StoreSnapshot
}

func newQuestion(names []string) *question {
	q := &question{
		asked: make(map[string]bool, len(names)), list: make([]string, 0, len(names)),
		snapshot: shadowsync.StoreSnapshot{Accounts: make(map[string]shadowsync.StoredAccount, len(names)), Malformed: map[string]string{}},
	}
	for _, name := range names {
		if len(name) <= maxName && !q.asked[name] { // no account has a longer one
			q.asked[name] = true
			q.list = append(q.list, name)
		}
	}
	return q
}

func (q *question) send(ctx context.Context, conn *socket.Conn) error {
	return sendList(ctx, conn, q.list, func(part []string, more bool) any {
		return request{Op: opRead, Within: within(ctx), Names: part, More: more}
	})
}

// Rehearse implements driver.Rehearser.
func (c *Client) Rehearse(ctx context.Context) error { return c.order(ctx, opRehearse) }

// receiveRecords accepts each requested name at most once.
func (c *Client) receiveRecords(ctx context.Context, asked map[string]bool, into *shadowsync.StoreSnapshot) error {
	for {
		a, err := c.receive(ctx)
		if err != nil {
			return err
		}
		for _, r := range a.Records {
			if !asked[r.Name] || len(r.Credential.Password) > maxPassword {
				return errLie
			}
			delete(asked, r.Name)
			held := shadowsync.Credential{}.With(r.Credential.unpack(c.capabilities), c.capabilities.Fields)
			into.Accounts[r.Name] = shadowsync.StoredAccount{Credential: held, ChangedAt: timeOf(r.ChangedAt)}
		}
		for _, m := range a.Malformed {
			if !asked[m.Name] {
				return errLie
			}
			delete(asked, m.Name)
			into.Malformed[m.Name] = printable.Clip(m.Why, maxText)
		}
		into.Revision = a.Revision
		switch {
		case !a.More:
			return nil
		case len(a.Records)+len(a.Malformed) == 0:
			return errLie // it would never end
		}
	}
}

func timeOf(milliseconds int64) time.Time {
	if milliseconds <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds)
}

// Watch implements shadowsync.CredentialStore. The channel also closes when the worker ends.
func (c *Client) Watch(ctx context.Context) (<-chan struct{}, error) {
	ours, theirs, err := socket.Pair()
	if err != nil {
		return nil, driver.Unavailable(err)
	}
	defer theirs.Close()
	err = c.call(ctx, func() error {
		if err := ours.SetLimits(len("{}"), 0); err != nil {
			return err
		}
		if err := c.conn.Send(ctx, request{Op: opWatch}, theirs); err != nil {
			return err
		}
		_, err := c.receive(ctx)
		return err
	})
	if err != nil {
		_ = ours.Close()
		return nil, err
	}
	changed := make(chan struct{}, 1)
	go forward(ctx, ours, changed)
	return changed, nil
}

func forward(ctx context.Context, from *socket.Conn, to chan<- struct{}) {
	defer close(to)
	defer from.Close()
	for {
		if _, err := from.Receive(ctx, &struct{}{}); err != nil {
			return
		}
		select {
		case to <- struct{}{}:
		default: // one is waiting already
		}
	}
}
