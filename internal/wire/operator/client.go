package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Client asks the broker. Each call uses its own connection, so that a shell waiting for its
// operator costs the broker nothing. Errors of the broker are an [*Error]; if the broker cannot be
// reached, the error is of kind Unavailable.
type Client struct {
	Path string // of the socket; empty: Path
}

// Hello asks whom the broker takes the caller for.
func (c Client) Hello(ctx context.Context) (Hello, error) {
	return one[Hello](ctx, c, Request{Op: OpHello})
}

// Names lists the accounts that the caller may see, in order.
func (c Client) Names(ctx context.Context) ([]string, error) {
	return many[string](ctx, c, Request{Op: OpNames})
}

// ShowUser describes an account: an empty name means the caller's own, All means every account.
func (c Client) ShowUser(ctx context.Context, name string) ([]User, error) {
	return many[User](ctx, c, Request{Op: OpShowUser, User: name})
}

// Sessions lists the sessions of an account: an empty name means the caller's own, All means every
// account.
func (c Client) Sessions(ctx context.Context, name string) ([]Session, error) {
	return many[Session](ctx, c, Request{Op: OpSessions, User: name})
}

// Activity lists records of the audit trail, newest first.
func (c Client) Activity(ctx context.Context, a Activity) ([]shadowsync.Event, error) {
	return many[shadowsync.Event](ctx, c, request(OpActivity, "", a))
}

// Sync lists the states of the accounts that the caller may see.
func (c Client) Sync(ctx context.Context) ([]SyncState, error) {
	return many[SyncState](ctx, c, Request{Op: OpSync})
}

// Disconnect ends every session of an account except the caller's.
func (c Client) Disconnect(ctx context.Context, name string) (Ended, error) {
	return one[Ended](ctx, c, Request{Op: OpDisconnect, User: name})
}

// Lock locks an account on both sides and ends its sessions.
func (c Client) Lock(ctx context.Context, name string) (Result, error) {
	return one[Result](ctx, c, Request{Op: OpLock, User: name})
}

// Unlock unlocks an account on both sides and clears its failure counter.
func (c Client) Unlock(ctx context.Context, name string) (Result, error) {
	return one[Result](ctx, c, Request{Op: OpUnlock, User: name})
}

// ExpirePassword makes the account set a new password at its next login.
func (c Client) ExpirePassword(ctx context.Context, name string) (Result, error) {
	return one[Result](ctx, c, Request{Op: OpExpirePassword, User: name})
}

// CreateUser creates an account. The password is a sealed memfd; the caller closes it.
func (c Client) CreateUser(ctx context.Context, u NewUser, password *os.File) (Result, error) {
	return one[Result](ctx, c, request(OpCreateUser, u.Name, u), password)
}

// CheckUser returns why an account of that name cannot be created, before the rest is asked for.
func (c Client) CheckUser(ctx context.Context, u NewUser) (Result, error) {
	u.Check = true
	return one[Result](ctx, c, request(OpCreateUser, u.Name, u))
}

// EditUser changes one field of an account; password is nil unless the field is the password.
func (c Client) EditUser(ctx context.Context, name string, e Edit, password *os.File) (Result, error) {
	if password == nil {
		return one[Result](ctx, c, request(OpEditUser, name, e))
	}
	return one[Result](ctx, c, request(OpEditUser, name, e), password)
}

// DeleteUser removes an account from the OS and from the managed accounts.
func (c Client) DeleteUser(ctx context.Context, name string, d Deletion) (Result, error) {
	return one[Result](ctx, c, request(OpDeleteUser, name, d))
}

// Code shows a code of the caller's second factor, which is used up then. It is a sealed memfd; the
// caller closes it.
func (c Client) Code(ctx context.Context, code *os.File) (CodeTaken, error) {
	return one[CodeTaken](ctx, c, Request{Op: OpCode}, code)
}

// Reset2FA drops the second factor of an account. The code is one of the caller's own; nil: the caller
// is root.
func (c Client) Reset2FA(ctx context.Context, name string, r Realm, code *os.File) (EnrolmentCode, error) {
	if code == nil {
		return one[EnrolmentCode](ctx, c, request(OpReset2FA, name, r))
	}
	return one[EnrolmentCode](ctx, c, request(OpReset2FA, name, r), code)
}

// RootTool records in the audit that the caller, who is not root, ran a command of the root tool.
// The answer is always a refusal.
func (c Client) RootTool(ctx context.Context, verb string) error {
	_, err := one[struct{}](ctx, c, request(OpRootTool, "", Attempt{Verb: verb}))
	return err
}

// request packs arguments; marshalling those of this package cannot fail.
func request(op Op, user string, args any) Request {
	packed, _ := json.Marshal(args)
	return Request{Op: op, User: user, Args: packed}
}

// dial connects and sends the first packet.
func (c Client) dial(ctx context.Context, q Request, files ...*os.File) (*socket.Conn, error) {
	path := c.Path
	if path == "" {
		path = Path
	}
	conn, err := socket.Dial(ctx, path)
	if err != nil {
		return nil, unreachable(err)
	}
	if err := conn.Send(ctx, q, files...); err != nil {
		_ = conn.Close()
		return nil, unreachable(err)
	}
	return conn, nil
}

// one asks for a single result.
func one[T any](ctx context.Context, c Client, q Request, files ...*os.File) (result T, err error) {
	err = c.ask(ctx, q, files, func(packed json.RawMessage) error { return json.Unmarshal(packed, &result) })
	return result, err
}

// many asks for a list, which may come in several packets.
func many[T any](ctx context.Context, c Client, q Request) (results []T, err error) {
	err = c.ask(ctx, q, nil, func(packed json.RawMessage) error {
		var some []T
		err := json.Unmarshal(packed, &some)
		results = append(results, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

func (c Client) ask(ctx context.Context, q Request, files []*os.File, take func(json.RawMessage) error) error {
	conn, err := c.dial(ctx, q, files...)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		var a Answer
		if err := receive(ctx, conn, &a); err != nil {
			return err
		}
		if a.Error != nil {
			return a.Error
		}
		if err := take(a.Result); err != nil {
			return fmt.Errorf("cannot understand the answer of shadowsync: %w", err)
		}
		if !a.More {
			return nil
		}
	}
}

// receive takes one packet.
func receive(ctx context.Context, conn *socket.Conn, v any) error {
	if err := conn.ReceiveAnswer(ctx, v); err != nil {
		return unreachable(err)
	}
	return nil
}

// unreachable turns an error of the connection into an [*Error]. If the caller cancelled, the error
// stays as it is.
func unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return Errorf(Unavailable, "%s", socket.Unreachable(err))
}
