package pcli

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/factor/qr"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/pcli/grammar"
)

// admitted does what an account with a second factor must do before anything else: it shows a code,
// or enrols anew after a reset. An expired password is changed first, which asks for a code, too. A
// single command is asked for one when the broker needs it. It returns an error only if the shell
// must end; over is set if the operator may not go on.
func (s *Shell) admitted() error {
	var err error
	switch {
	case s.single:
		return nil
	case s.hello.Factor == operator.FactorReset:
		s.say(guide.Reset)
		err = s.enrol2FA(grammar.Call{})
	case s.hello.Factor == operator.FactorEnrolled && !s.hello.Expired:
		err = s.proveFactor()
	case s.hello.Required != "" && !s.hello.Expired:
		s.say("%s Enrol one with 'enrol 2fa'.", s.hello.Required)
		if s.hello.MustEnrol {
			err = s.enrol2FA(grammar.Call{})
		}
	}
	s.over = err != nil
	return s.finish(err)
}

// coded runs what asks the broker. If the broker needs a code first, it asks for one and runs it again.
func (s *Shell) coded(f func() error) error {
	err := f()
	var refusal *operator.Error
	if !errors.As(err, &refusal) || refusal.Kind != operator.CodeNeeded {
		return err
	}
	if err := s.proveFactor(); err != nil {
		return err
	}
	return f()
}

// proveFactor shows the broker a code, and warns if few recovery codes are left.
func (s *Shell) proveFactor() error {
	taken, err := withCode(s, s.readCode, s.client.Code)
	var lost *lostError
	if errors.As(err, &lost) {
		return s.lostFactor(lost.mailed)
	}
	if few := guide.Few(taken.CodesLeft, "'renew 2fa codes'"); err == nil && few != "" {
		s.say("%s", few)
	}
	return err
}

// withCode asks for a code and calls f with it, until f takes one or no tries are left.
func withCode[T any](s *Shell, read func() ([]byte, error), f func(context.Context, *os.File) (T, error)) (result T, err error) {
	for left := tries; ; left-- {
		result, err = withOneCode(s, read, f)
		var refusal *operator.Error
		if !errors.As(err, &refusal) || refusal.Kind != operator.CodeRefused || left == 1 {
			return result, err
		}
		s.say("%% Error: %s", err)
	}
}

func withOneCode[T any](s *Shell, read func() ([]byte, error), f func(context.Context, *os.File) (T, error)) (result T, err error) {
	code, err := sealed(read())
	if err != nil {
		return result, err
	}
	defer code.Close()
	ctx, cancel := context.WithTimeout(s.ctx, changeTime)
	defer cancel()
	return f(ctx, code)
}

// Code asks for a code in a dialogue. With a setup, it shows that first.
func (d *dialogue) Code(_ context.Context, t operator.Turn) (*os.File, error) {
	d.bound.Stop()
	defer d.bound.Reset(changeTime)
	switch {
	case t.Ask == operator.AskMailed && d.mailed != nil: // typed before, at the prompt for a code
		code := d.mailed
		d.mailed = nil
		return sealed(code, nil)
	case t.Weak != "":
		d.shell.say("%% Error: %s", t.Weak)
	case t.Setup != nil:
		d.shell.showSetup(*t.Setup)
	case t.Address != "":
		d.shell.say("%s", guide.Sent(t.Address, true))
	}
	switch t.Ask {
	case operator.AskEnrolment:
		return sealed(d.shell.console.ReadSecret(guide.AskEnrolment, operator.MaxCode))
	case operator.AskMailed:
		return sealed(d.shell.console.ReadSecret(guide.AskMailed, operator.MaxCode))
	}
	return sealed(d.shell.console.ReadSecret(guide.AskCode, operator.MaxCode))
}

// showSetup shows what an authenticator app needs. A person at a terminal that is wide enough also gets
// the QR code.
func (s *Shell) showSetup(setup operator.Setup) {
	drawn, err := qr.Terminal(setup.Address, true)
	if err != nil || !s.draws(drawn) {
		drawn = ""
	}
	if setup.Another && setup.Enrolment == "" { // else the text says it
		s.say("%s", guide.Works)
	}
	text := guide.Setup(printable.Quote(setup.Enrolment), printable.Quote(setup.Key), drawn, printable.Quote(setup.Address))
	_, _ = io.WriteString(s.console, text)
}

// draws reports whether the terminal shows a drawing as it is meant.
func (s *Shell) draws(drawn string) bool {
	lines := strings.Count(drawn, "\n")
	return s.console.Interactive() && s.terminal != "" && s.terminal != "dumb" && 2*lines <= s.console.Width()
}

// showRecovery shows new recovery codes, which nothing can show again.
func (s *Shell) showRecovery(codes []string) {
	shown := make([]string, len(codes))
	for i, code := range codes {
		shown[i] = printable.Quote(code)
	}
	_, _ = io.WriteString(s.console, guide.Recovery(shown))
}

// enrolled ends an enrolment.
func (s *Shell) enrolled(codes []string) {
	s.hello.Factor = operator.FactorEnrolled
	s.say("Second factor enrolled")
	s.showRecovery(codes)
}

func (s *Shell) enrol2FA(grammar.Call) error {
	d := newDialogue(s)
	defer d.end()
	codes, err := s.client.Enrol2FA(d.ctx, d)
	if err != nil {
		return err
	}
	s.enrolled(codes)
	return nil
}

func (s *Shell) renewCodes(grammar.Call) error {
	d := newDialogue(s)
	defer d.end()
	codes, err := s.client.RenewCodes(d.ctx, d)
	if err != nil {
		return err
	}
	s.say("Recovery codes renewed; the old ones are void")
	s.showRecovery(codes)
	return nil
}

// check2FA tries a code. It is used up like any other.
func (s *Shell) check2FA(grammar.Call) error {
	taken, err := withCode(s, s.plainCode, s.client.Code)
	if err != nil {
		return err
	}
	kind := "Code"
	if taken.Recovery {
		kind = "Recovery code"
	}
	s.say("%s is right, and used up now; %s left", kind, plural.Count(taken.CodesLeft, "recovery code"))
	return nil
}

// reset2FA drops the second factor of an account, with a code of the operator's own.
func (s *Shell) reset2FA(c grammar.Call) error {
	name, realm := c.Get("NAME"), operator.Realm{Realm: "local"}
	if name == "" {
		name = s.hello.User
	}
	if c.Has("ldap") {
		realm.Realm = "ldap"
	}
	question := "Reset the second factor of '" + shown(name) + "', and end its sessions?"
	if err := s.confirm(c, nil, question); err != nil {
		return err
	}
	var code operator.EnrolmentCode
	var err error
	if s.hello.UID == 0 {
		code, err = change(s, func(ctx context.Context) (operator.EnrolmentCode, error) {
			return s.client.Reset2FA(ctx, name, realm, nil)
		})
	} else {
		code, err = withCode(s, s.plainCode, func(ctx context.Context, own *os.File) (operator.EnrolmentCode, error) {
			return s.client.Reset2FA(ctx, name, realm, own)
		})
	}
	switch {
	case err != nil:
		return err
	case code.Code == "":
		s.say("User `%s` has no second factor: nothing was reset", name)
	default:
		s.say("Second factor of user `%s` reset; enrolment code `%s`", name, code.Code)
	}
	return nil
}

// factorText describes a second factor as show user does.
func factorText(u operator.User) string {
	switch u.Factor {
	case operator.FactorEnrolled:
		return "enrolled " + clock(u.EnrolledAt) + ", last used " + clock(u.FactorUsed) + ", " + plural.Count(u.CodesLeft, "recovery code") + " left"
	case operator.FactorReset:
		return "reset; to be enrolled anew with an enrolment code"
	case operator.FactorPending:
		return "pending: no code was shown yet"
	}
	return ""
}
