package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Client asks the daemon. The zero value is ready to use. A refusal is an [*Error], and so is a daemon
// that cannot be reached, with the kind [Unavailable].
type Client struct {
	Path string // of the socket; empty: Path
}

// ErrUnknownOutcome means that the daemon was asked for a change and did not answer: it was made, or it was
// not. After signing in again, the person sees which.
var ErrUnknownOutcome = errors.New("shadowsync did not say whether it was done")

// Settings asks for what the configuration says about the page.
func (c Client) Settings(ctx context.Context) (Settings, error) {
	return one[Settings](ctx, c, Request{Op: OpSettings})
}

// SignIn proves a person's password. The error is the same for a wrong password and for an account that
// does not exist.
func (c Client) SignIn(ctx context.Context, who SignIn, password *Secret) (Signed, error) {
	return one[Signed](ctx, c, with(Request{Op: OpSignIn}, who), password)
}

// With returns what a token opens.
func (c Client) With(token string) Login { return Login{c, token} }

// Login is a session of a person's, while it is being signed in or after that.
type Login struct {
	client Client
	token  string
}

// Shown is a proof: see [Person] for the one that is wanted.
type Shown struct {
	By     Proof
	Secret *Secret
}

// Code shows a code of the second factor, or a recovery code.
func (l Login) Code(ctx context.Context, code *Secret) (Signed, error) {
	return one[Signed](ctx, l.client, l.request(OpCode), code)
}

// Lost has a code mailed to who lost the authenticator.
func (l Login) Lost(ctx context.Context) (Mailed, error) {
	return one[Mailed](ctx, l.client, l.request(OpLost))
}

// Regain shows the mailed code and begins a new enrolment. The person's other sessions end.
func (l Login) Regain(ctx context.Context, code *Secret) (Setup, error) {
	return one[Setup](ctx, l.client, l.request(OpRegain), code)
}

// Enrol begins the enrolment of a second factor. Enrolment is the code that a reset has given; nil: the
// factor was not reset.
func (l Login) Enrol(ctx context.Context, s Shown, enrolment *Secret) (Setup, error) {
	if enrolment == nil {
		return one[Setup](ctx, l.client, l.proving(OpEnrol, "", s), s.Secret)
	}
	return one[Setup](ctx, l.client, l.proving(OpEnrol, "", s), s.Secret, enrolment)
}

// Confirm ends an enrolment with a first code of the new app.
func (l Login) Confirm(ctx context.Context, code *Secret) (Confirmed, error) {
	return one[Confirmed](ctx, l.client, l.request(OpConfirm), code)
}

// Who describes who is signed in. During the steps of signing in it tells no more than the next step.
func (l Login) Who(ctx context.Context) (Person, error) {
	return one[Person](ctx, l.client, l.request(OpWho))
}

// SignOut ends this session.
func (l Login) SignOut(ctx context.Context) error {
	_, err := one[struct{}](ctx, l.client, l.request(OpSignOut))
	return err
}

// SetPassword changes the person's own password on both sides. After that every session of the account
// ends, this one too.
func (l Login) SetPassword(ctx context.Context, current, fresh *Secret) (Result, error) {
	return one[Result](ctx, l.client, l.request(OpSetPassword), current, fresh)
}

// RenewCodes replaces the recovery codes.
func (l Login) RenewCodes(ctx context.Context, code *Secret) (Confirmed, error) {
	return one[Confirmed](ctx, l.client, l.request(OpRenewCodes), code)
}

// SetMail sets the address on record.
func (l Login) SetMail(ctx context.Context, address string, code *Secret) error {
	_, err := one[struct{}](ctx, l.client, with(l.request(OpSetMail), Mail{address}), code)
	return err
}

// Sessions lists an account's sessions; empty: the person's own.
func (l Login) Sessions(ctx context.Context, user string) ([]Session, error) {
	return many[Session](ctx, l.client, l.about(OpSessions, user))
}

// Activity lists records of the audit about an account; empty: the person's own, and an administrator's
// accounts.
func (l Login) Activity(ctx context.Context, user string, a Activity) ([]shadowsync.Event, error) {
	return many[shadowsync.Event](ctx, l.client, with(l.about(OpActivity, user), a))
}

// EndSessions ends every session of an account; of one's own, this one too.
func (l Login) EndSessions(ctx context.Context, user string, s Shown) (Ended, error) {
	return one[Ended](ctx, l.client, l.proving(OpEndSessions, user, s), s.Secret)
}

// Users lists the accounts that the person may see.
func (l Login) Users(ctx context.Context) ([]User, error) {
	return many[User](ctx, l.client, l.request(OpUsers))
}

// User describes one account.
func (l Login) User(ctx context.Context, name string) (User, error) {
	users, err := many[User](ctx, l.client, l.about(OpUsers, name))
	if err != nil || len(users) == 1 {
		return append(users, User{})[0], err
	}
	return User{}, &Error{NoAccount, "no such account: " + name}
}

// Sync lists the states of synchronisation of the accounts that the person may see.
func (l Login) Sync(ctx context.Context) ([]SyncState, error) {
	return many[SyncState](ctx, l.client, l.request(OpSync))
}

// Lock locks an account on both sides and ends its sessions.
func (l Login) Lock(ctx context.Context, user string, s Shown) (Result, error) {
	return one[Result](ctx, l.client, l.proving(OpLock, user, s), s.Secret)
}

// Unlock unlocks an account on both sides and clears its failure counter.
func (l Login) Unlock(ctx context.Context, user string, s Shown) (Result, error) {
	return one[Result](ctx, l.client, l.proving(OpUnlock, user, s), s.Secret)
}

// Expire makes the account set a new password at its next login.
func (l Login) Expire(ctx context.Context, user string, s Shown) (Result, error) {
	return one[Result](ctx, l.client, l.proving(OpExpire, user, s), s.Secret)
}

// ResetPassword sets the password of another account, on both sides, and ends its sessions.
func (l Login) ResetPassword(ctx context.Context, user string, s Shown, fresh *Secret) (Result, error) {
	return one[Result](ctx, l.client, l.proving(OpResetPassword, user, s), s.Secret, fresh)
}

// Reset2FA drops the second factor of an account and ends its sessions.
func (l Login) Reset2FA(ctx context.Context, user string, code *Secret) (EnrolmentCode, error) {
	return one[EnrolmentCode](ctx, l.client, l.proving(OpReset2FA, user, Shown{By: ByCode}), code)
}

// ResetDirectory2FA is the same for an account of a directory: see [Person.Directory].
func (l Login) ResetDirectory2FA(ctx context.Context, user string, code *Secret) (EnrolmentCode, error) {
	return one[EnrolmentCode](ctx, l.client, with(l.proving(OpReset2FA, user, Shown{By: ByCode}), Realm{"ldap"}), code)
}

func (l Login) request(op Op) Request { return Request{Op: op, Token: l.token} }

func (l Login) about(op Op, user string) Request { return Request{Op: op, Token: l.token, User: user} }

func (l Login) proving(op Op, user string, s Shown) Request {
	return Request{Op: op, Token: l.token, User: user, Proof: s.By}
}

// with packs arguments; marshalling those of this package cannot fail.
func with(q Request, args any) Request {
	q.Args, _ = json.Marshal(args)
	return q
}

// one asks for a single result.
func one[T any](ctx context.Context, c Client, q Request, secrets ...*Secret) (result T, err error) {
	err = c.ask(ctx, q, secrets, func(packed json.RawMessage) error {
		if packed == nil {
			return nil
		}
		return json.Unmarshal(packed, &result)
	})
	return result, err
}

// many asks for a list.
func many[T any](ctx context.Context, c Client, q Request) (results []T, err error) {
	err = c.ask(ctx, q, nil, func(packed json.RawMessage) error {
		var some []T
		err := json.Unmarshal(packed, &some)
		results = append(results, some...)
		return err
	})
	return results, err
}

func (c Client) ask(ctx context.Context, q Request, secrets []*Secret, take func(json.RawMessage) error) error {
	path := c.Path
	if path == "" {
		path = Path
	}
	conn, err := socket.Dial(ctx, path)
	if err != nil {
		return unreachable(err)
	}
	defer conn.Close()
	files := make([]*os.File, 0, len(secrets))
	for _, s := range secrets {
		files = append(files, s.file)
	}
	if err := conn.Send(ctx, q, files...); err != nil {
		return unreachable(err)
	}
	for {
		var a Answer
		switch err := conn.ReceiveAnswer(ctx, &a); {
		case err != nil && len(secrets) > 0:
			return errors.Join(ErrUnknownOutcome, unreachable(err))
		case err != nil:
			return unreachable(err)
		case a.Error != nil:
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

// unreachable turns an error of the connection into an [*Error]. If the caller cancelled, the error stays
// as it is.
func unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &Error{Unavailable, socket.Unreachable(err)}
}
