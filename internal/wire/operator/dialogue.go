package operator

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// Asker asks the operator. Each method returns a sealed memfd (socket.SealedMemfd), which this
// package closes after sending it, or an error, which ends the dialogue with nothing changed.
type Asker interface {
	// Current asks for the current password.
	Current(ctx context.Context) (*os.File, error)
	// New asks for the new one. On a further try, weak says why the last one was refused, and left
	// how many tries remain after this one.
	New(ctx context.Context, weak string, left int) (*os.File, error)
	// Code asks for a code of the second factor, or for an enrolment code. With Setup in the turn,
	// the code is that of an app which the operator sets up first.
	Code(ctx context.Context, t Turn) (*os.File, error)
}

// ErrUnknownOutcome means that the connection ended after the new password was sent and before the
// broker reported the result: either both sides were changed, or neither.
var ErrUnknownOutcome = errors.New("shadowsync did not say whether it was done")

// SetPassword changes the caller's own password. It returns the notes of the broker: sessions that
// survived, ways in that stay open. The broker ends the caller's session soon after.
func (c Client) SetPassword(ctx context.Context, asker Asker) (notes []string, err error) {
	last, err := c.talk(ctx, Request{Op: OpSetPassword}, asker)
	return last.Notes, err
}

// Enrol2FA enrols a second factor of the caller's. It returns the recovery codes, which nothing can
// show again.
func (c Client) Enrol2FA(ctx context.Context, asker Asker) (recovery []string, err error) {
	last, err := c.talk(ctx, Request{Op: OpEnrol2FA}, asker)
	return last.Recovery, err
}

// RenewCodes replaces the caller's recovery codes and returns the new ones.
func (c Client) RenewCodes(ctx context.Context, asker Asker) (recovery []string, err error) {
	last, err := c.talk(ctx, Request{Op: OpRenewCodes}, asker)
	return last.Recovery, err
}

// Lost2FA enrols a second factor anew, after a code that is mailed. It returns the recovery codes.
func (c Client) Lost2FA(ctx context.Context, lost Lost, asker Asker) (recovery []string, err error) {
	last, err := c.talk(ctx, request(OpLost2FA, "", lost), asker)
	return last.Recovery, err
}

// SetMail sets the caller's address on record.
func (c Client) SetMail(ctx context.Context, mail Mail, asker Asker) error {
	_, err := c.talk(ctx, request(OpSetMail, "", mail), asker)
	return err
}

// talk leads a dialogue and returns the broker's last packet.
func (c Client) talk(ctx context.Context, r Request, asker Asker) (Turn, error) {
	conn, err := c.dial(ctx, r)
	if err != nil {
		return Turn{}, err
	}
	defer conn.Close()
	for sent := Secret(""); ; {
		var t Turn
		err := receive(ctx, conn, &t)
		switch {
		case err != nil:
			return t, interrupted(r.Op, sent, err)
		case t.Error != nil:
			return t, t.Error
		case t.Done:
			return t, nil
		}
		if err := answer(ctx, conn, t, asker); err != nil {
			return t, err
		}
		sent = t.Ask
	}
}

// interrupted says what an error of the connection means after the last secret that was sent.
func interrupted(op Op, sent Secret, err error) error {
	switch {
	case sent == AskNew:
		return errors.Join(ErrUnknownOutcome, err)
	case (sent == AskCode || sent == AskMailed) && op != OpSetPassword:
		return err // what the code was for may have been done
	}
	return unchanged(err)
}

// Outcome asks, after an [ErrUnknownOutcome], for the result of the change whose new password was
// sent at that time. No error: both sides have it.
func (c Client) Outcome(ctx context.Context, given time.Time) (notes []string, err error) {
	conn, err := c.dial(ctx, request(OpOutcome, "", Given{At: given}))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var t Turn
	if err := receive(ctx, conn, &t); err != nil {
		return nil, err
	}
	if t.Error != nil {
		return nil, t.Error
	}
	return t.Notes, nil
}

// answer sends what the broker asks for. If the broker has hung up meanwhile, it has sent the reason
// and changed nothing.
func answer(ctx context.Context, conn *socket.Conn, t Turn, asker Asker) error {
	secret, err := ask(ctx, t, asker)
	if err != nil {
		return err
	}
	defer secret.Close()
	if err = conn.Send(ctx, Reply{Op: "secret"}, secret); err == nil {
		return nil
	}
	var last Turn
	if receive(ctx, conn, &last) == nil && last.Error != nil {
		return last.Error
	}
	return unchanged(unreachable(err))
}

// unchanged adds to an error before the new password was sent that nothing was changed.
func unchanged(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return Errorf(e.Kind, "%s; nothing was changed", e.Text)
	}
	return err
}

func ask(ctx context.Context, t Turn, asker Asker) (*os.File, error) {
	switch t.Ask {
	case AskCurrent:
		return asker.Current(ctx)
	case AskNew:
		return asker.New(ctx, t.Weak, t.Left)
	case AskCode, AskEnrolment, AskMailed:
		return asker.Code(ctx, t)
	}
	return nil, Errorf(Unavailable, "shadowsync asks for something that this program does not know: it may be newer")
}
