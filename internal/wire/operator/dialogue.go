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
}

// ErrUnknownOutcome means that the connection ended after the new password was sent and before the
// broker reported the result: either both sides were changed, or neither.
var ErrUnknownOutcome = errors.New("shadowsync did not say whether it was done")

// SetPassword changes the caller's own password. It returns the notes of the broker: sessions that
// survived, ways in that stay open. The broker ends the caller's session soon after.
func (c Client) SetPassword(ctx context.Context, asker Asker) (notes []string, err error) {
	conn, err := c.dial(ctx, Request{Op: OpSetPassword})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	given := false
	for {
		var t Turn
		err := receive(ctx, conn, &t)
		switch {
		case err != nil && given:
			return nil, errors.Join(ErrUnknownOutcome, err)
		case err != nil:
			return nil, unchanged(err)
		case t.Error != nil:
			return nil, t.Error
		case t.Done:
			return t.Notes, nil
		}
		if given, err = answer(ctx, conn, t, asker); err != nil {
			return nil, err
		}
	}
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

// answer sends what the broker asks for, and reports whether that was the new password. If the
// broker has hung up meanwhile, it has sent the reason and changed nothing.
func answer(ctx context.Context, conn *socket.Conn, t Turn, asker Asker) (given bool, err error) {
	secret, err := ask(ctx, t, asker)
	if err != nil {
		return false, err
	}
	defer secret.Close()
	if err = conn.Send(ctx, Reply{Op: "secret"}, secret); err == nil {
		return t.Ask == AskNew, nil
	}
	var last Turn
	if receive(ctx, conn, &last) == nil && last.Error != nil {
		return false, last.Error
	}
	return false, unchanged(unreachable(err))
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
	}
	return nil, Errorf(Unavailable, "shadowsync asks for something that this program does not know: it may be newer")
}
