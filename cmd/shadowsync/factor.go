package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// factorResult is an account in the --json output of the commands for second factors.
type factorResult struct {
	Name          string       `json:"name"`
	Realm         factor.Realm `json:"realm"`
	State         factor.State `json:"second_factor"`
	RecoveryLeft  int          `json:"recovery_codes_left"`
	Reason        *string      `json:"reason"`                   // why nothing was done
	SetupKey      string       `json:"setup_key,omitempty"`      // of enrol
	Address       string       `json:"address,omitempty"`        // of enrol: otpauth://
	RecoveryCodes []string     `json:"recovery_codes,omitempty"` // of enrol and renew
	EnrolmentCode string       `json:"enrolment_code,omitempty"` // of reset
	UsedRecovery  bool         `json:"recovery_code,omitempty"`  // of check: it was one
	Mail          string       `json:"mail,omitempty"`           // of set mail
}

func resultOf(r factor.Record) factorResult {
	return factorResult{Name: r.Account, Realm: r.Realm, State: r.State, RecoveryLeft: r.RecoveryLeft()}
}

// factorError is an error about an account's second factor, for the hints.
type factorError struct {
	doing   string // "cannot check a code of"
	subject factor.Subject
	err     error
	audited bool // package factor has recorded it
}

func (e *factorError) Error() string {
	return fmt.Sprintf("%s %s: %v", e.doing, e.subject.Account, e.err)
}
func (e *factorError) Unwrap() error { return e.err }

// factorHint names the way on after an error about a second factor.
func factorHint(e *factorError) string {
	name := shellWord(e.subject.Account)
	switch {
	case errors.As(e.err, new(*factor.KeyError)):
		return "shadowsync doctor (or, if the key is lost: shadowsync user reset 2fa --all)"
	case errors.Is(e.err, factor.ErrNotEnrolled):
		return "shadowsync user enrol 2fa " + name
	case errors.Is(e.err, factor.ErrEnrolled):
		return fmt.Sprintf("shadowsync user reset 2fa %s %s", e.subject.Realm, name)
	case errors.As(e.err, new(*factor.FloorError)):
		return fmt.Sprintf("shadowsync user reset 2fa %s --clock %s", e.subject.Realm, name)
	case errors.Is(e.err, factor.ErrAddress):
		return "shadowsync user set mail " + name + " NAME@DOMAIN"
	case errors.Is(e.err, factor.ErrRefused):
		return "shadowsync user show " + name
	}
	return ""
}

// factorWork is what a command for the second factor of one account works with.
type factorWork struct {
	*factor.Factors
	app     *app
	engine  *engine.Engine
	subject factor.Subject
	verb    string // for the audit
	doing   string // for messages: "cannot check a code of"
}

func (w *factorWork) origin() shadowsync.Origin {
	by := ourselves(w.engine)
	by.Verb = w.verb
	return by
}

// failed names what failed.
func (w *factorWork) failed(err error) error {
	if err == nil {
		return nil
	}
	return &factorError{doing: w.doing, subject: w.subject, err: err}
}

// withFactor opens the engine for the second factor of one account. An attempt that fails is audited,
// unless package factor has done that.
func (a *app) withFactor(ctx context.Context, name, verb, doing string, do func(*factorWork) error) error {
	_ = cleartext.Harden() // recovering a lost factor must work in a container, too
	return a.with(ctx, func(e *engine.Engine) error {
		w := &factorWork{Factors: e.Factors(&limit.Guesses{}), app: a, engine: e, verb: verb, doing: doing}
		subject, err := a.subject(ctx, w.Factors, e, name)
		if err != nil {
			return a.record(ctx, e, verb, shadowsync.Event{Account: printable.Clip(name, 256)}, err)
		}
		w.subject = subject
		err = do(w)
		var known *factorError
		if err == nil || errors.As(err, &known) && known.audited {
			return err
		}
		application, _ := e.Config.Managing(name)
		return a.record(ctx, e, verb, shadowsync.Event{Application: application.Name, Account: name}, err)
	})
}

// subject finds out where an account is kept: what /etc/shadow holds is local, and all other accounts
// that the system knows belong to a directory.
func (a *app) subject(ctx context.Context, f *factor.Factors, e *engine.Engine, name string) (factor.Subject, error) {
	os, err := e.Accounts.Read(ctx, []string{name})
	if err != nil {
		return factor.Subject{}, err
	}
	if _, ok := os.Accounts[name]; ok {
		return factor.Subject{Realm: factor.Local, Account: name}, nil
	}
	s := factor.Subject{Realm: factor.LDAP, Account: name}
	kept, err := f.Of(ctx, s)
	if err != nil || kept.Generation > 0 {
		return s, err
	}
	if _, err := a.lookUp(ctx, name); err != nil {
		return s, err
	}
	return s, nil
}

func noAccount(name string) error {
	return fmt.Errorf("cannot find %s: the OS has %w", printable.Clip(name, 64), shadowsync.ErrNoAccount)
}

// askCode asks for a code up to three times, until try takes one. From standard input it takes one.
func (w *factorWork) askCode(ctx context.Context, source tokenSource, question string, try func(code []byte) error) error {
	for left := tries; ; left-- {
		code, err := w.app.code(ctx, source, question)
		if err != nil {
			return err
		}
		err = try(code)
		clear(code)
		again := errors.Is(err, factor.ErrForm) || errors.Is(err, factor.ErrWrong) || errors.Is(err, factor.ErrUsed)
		switch {
		case err == nil:
			return nil
		case !again || left == 1 || source.given():
			return &factorError{w.doing, w.subject, err, !errors.Is(err, factor.ErrForm)}
		}
		w.app.warn("%v", err)
	}
}

// code reads a code, which the caller clears.
func (a *app) code(ctx context.Context, source tokenSource, question string) ([]byte, error) {
	if source.given() {
		return a.readToken(ctx, source, "")
	}
	tty, err := a.terminal()
	if err != nil {
		return nil, err
	}
	defer tty.Close()
	return askHidden(ctx, tty, question)
}

// showRecovery prints recovery codes, which nothing can show again.
func (a *app) showRecovery(name string, codes []string) error {
	restore := a.keepOutput(true)
	defer restore()
	return a.shown(name, guide.Recovery(codes))
}

// shown prints what cannot be printed again, and names the account if that fails.
func (a *app) shown(name, text string) error {
	if _, err := fmt.Fprint(a.out, text); err != nil {
		return mark(fmt.Errorf("cannot show the recovery codes of %s: %w", name, err), &unseenCodesError{name})
	}
	return nil
}

// unseenCodesError: the account has new recovery codes that could not be shown.
type unseenCodesError struct{ account string }

func (e *unseenCodesError) Error() string { return "cannot show new recovery codes" }

// recoveryRoom is how much the output of ten recovery codes takes at most, in bytes.
const recoveryRoom = 2048

// factorText describes a factor for people: "enrolled 2026-11-21 10:00:00, last used …, 9 recovery codes left".
func factorText(r factor.Record) string {
	text := string(r.State)
	if r.State == factor.Enrolled {
		text += " " + clock(r.EnrolledAt) + ", last used " + clock(r.UsedAt) + ", " + plural.Count(r.RecoveryLeft(), "recovery code") + " left"
	}
	if r.Ticket != nil {
		text += ", reset: an enrolment code is out"
	}
	return text
}
