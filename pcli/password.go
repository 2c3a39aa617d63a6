package pcli

import (
	"context"
	"crypto/subtle"
	"errors"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/pcli/console"
	"github.com/shadowsync/shadowsync/pcli/grammar"
)

// tries limits how often a new password may be refused or confirmed wrongly, taken together.
const tries = 3

// setPassword changes the operator's own password. Then the shell ends, because the old password
// opened its session.
func (s *Shell) setPassword(grammar.Call) error {
	s.say("Changing the current password will log this user out of all active sessions. " +
		"Subsequent logins will require the new password to authenticate.")
	dialogue := newDialogue(s)
	defer dialogue.end()
	notes, err := s.client.SetPassword(dialogue.ctx, dialogue)
	if errors.Is(err, operator.ErrUnknownOutcome) {
		notes, err = s.outcome(dialogue.given, err)
	}
	if err != nil {
		return s.notModified(err)
	}
	s.say("✔ Modifying password...")
	s.say(operator.Updated)
	s.notes(notes)
	s.over = true
	return nil
}

// outcome asks the restarted broker for the result of a change whose result the previous one did
// not report. If it does not answer either, the result stays unknown.
func (s *Shell) outcome(given time.Time, unknown error) ([]string, error) {
	s.say("shadowsync was interrupted; asking for the result...")
	notes, err := change(s, func(ctx context.Context) ([]string, error) { return s.client.Outcome(ctx, given) })
	var refusal *operator.Error
	if errors.As(err, &refusal) && refusal.Kind == operator.Unavailable {
		return nil, errors.Join(unknown, err)
	}
	return notes, err
}

// notModified prints a failure, unless the operator cancelled or the shell is ending.
func (s *Shell) notModified(err error) error {
	given := errors.Is(err, console.ErrInterrupted) || errors.Is(err, console.ErrIdle) || errors.Is(err, console.ErrNoTerminal)
	if !given && s.ctx.Err() == nil {
		s.say("✖ Modifying password...")
	}
	return err
}

// expired is the only action for an operator whose password has expired: to change it.
func (s *Shell) expired() error {
	s.say("WARNING: Your password has expired.")
	s.say("You must change your password now and login again!")
	return s.finish(s.setPassword(grammar.Call{}))
}

// notes prints the broker's notes about a change.
func (s *Shell) notes(notes []string) {
	for _, note := range notes {
		s.say("%s", note)
	}
}

// dialogue answers the broker's questions. Its time limit runs while the broker works; while the
// operator types, only the idle time limits the wait.
type dialogue struct {
	shell  *Shell
	ctx    context.Context
	cancel context.CancelCauseFunc
	bound  *time.Timer
	failed int       // number of failed tries
	given  time.Time // when the new password was entered
	mailed []byte    // a mailed code that was typed already
}

func newDialogue(s *Shell) *dialogue {
	d := &dialogue{shell: s}
	d.ctx, d.cancel = context.WithCancelCause(s.ctx)
	d.bound = time.AfterFunc(changeTime, func() { d.cancel(context.DeadlineExceeded) })
	return d
}

func (d *dialogue) end() {
	d.bound.Stop()
	d.cancel(nil)
}

// Current asks for the current password.
func (d *dialogue) Current(context.Context) (*os.File, error) {
	d.bound.Stop()
	defer d.bound.Reset(changeTime)
	password, err := d.shell.console.ReadSecret("Enter your current password:", operator.MaxSecret)
	return sealed(password, err)
}

// New asks for the new password.
func (d *dialogue) New(_ context.Context, weak string, _ int) (*os.File, error) {
	d.bound.Stop()
	defer d.bound.Reset(changeTime)
	if weak != "" {
		d.failed++
		d.shell.say("%% Error: %s", weak)
	}
	password, err := d.shell.newPassword("Enter a new password:", "Confirm:", &d.failed)
	d.given = time.Now()
	return password, err
}

// newPassword asks for a new password twice, until both answers match or no tries are left.
func (s *Shell) newPassword(prompt, confirm string, failed *int) (*os.File, error) {
	for {
		password, err := s.readTwice(prompt, confirm)
		if err == nil || !errors.Is(err, errMismatch) && !errors.Is(err, console.ErrLongSecret) {
			return sealed(password, err)
		}
		if *failed++; *failed >= tries {
			return nil, err
		}
		s.say("%% Error: %s", err)
	}
}

func (s *Shell) readTwice(prompt, confirm string) ([]byte, error) {
	password, err := s.console.ReadSecret(prompt, operator.MaxSecret)
	if err != nil {
		return nil, err
	}
	again, err := s.console.ReadSecret(confirm, operator.MaxSecret)
	defer socket.Wipe(again)
	if err == nil && subtle.ConstantTimeCompare(password, again) != 1 {
		err = errMismatch
	}
	if err != nil {
		socket.Wipe(password)
		return nil, err
	}
	return password, nil
}

// sealed moves a password from this process's memory into a memfd.
func sealed(password []byte, err error) (*os.File, error) {
	if err != nil {
		return nil, err
	}
	defer socket.Wipe(password)
	return socket.SealedMemfd(password)
}
