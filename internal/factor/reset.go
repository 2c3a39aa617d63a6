package factor

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"

	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The actions of the audit.
const (
	ActionReset = "factor-reset"
	ActionClock = "floor-lowered"
	ActionMail  = "mail-set"
)

// Reset drops all of a factor: the secret, the recovery codes, an enrolment that was begun or for which
// a code is out. It returns a new enrolment code, valid for a day, that the account is enrolled anew
// with; nothing can show it again. The mail address stays. It needs no key, so it is also the way on
// when that is lost. logout ends the account's sessions, as recorded in the same transaction; nil: the
// caller ends them.
func (f *Factors) Reset(ctx context.Context, s Subject, logout *Logout, by shadowsync.Origin) (code string, err error) {
	code = onetime.NewEnrolment()
	hash := onetime.Hash(code)
	id, elapsed := f.Boot()
	err = f.Store.ChangeFactor(ctx, s, func(r Record) (Change, error) {
		if r.State == None && r.Ticket == nil {
			return Change{}, ErrNotEnrolled
		}
		next := r.reset(hash, id, elapsed)
		return Change{Record: next, Events: []shadowsync.Event{event(f.Now(), s, by, ActionReset, r.dropped())}, Logout: logout}, nil
	})
	if err != nil {
		return "", err
	}
	return code, nil
}

// Drop drops all of a factor of an account that is gone. Nothing asks for it any more, and nobody gets an
// enrolment code.
func (f *Factors) Drop(ctx context.Context, s Subject, by shadowsync.Origin) error {
	return f.Store.ChangeFactor(ctx, s, func(r Record) (Change, error) {
		if r.State == None && r.Ticket == nil {
			return Change{}, ErrNotEnrolled
		}
		next := Record{Subject: s, State: None, Generation: r.Generation + 1}
		return Change{Record: next, Events: []shadowsync.Event{event(f.Now(), s, by, ActionReset, r.dropped()+"; the account is gone")}}, nil
	})
}

// dropped says what a reset drops.
func (r Record) dropped() string {
	switch r.State {
	case Enrolled:
		return "dropped the secret and " + plural.Count(r.RecoveryLeft(), "recovery code")
	case Pending:
		return "dropped the enrolment that was begun"
	}
	return "dropped the enrolment code of the last reset"
}

// LowerFloor makes codes of the present time valid again after a clock that was ahead. It reports
// whether there was anything to lower. Codes up to the present one stay dead.
func (f *Factors) LowerFloor(ctx context.Context, s Subject, by shadowsync.Origin) (bool, error) {
	err := f.Store.ChangeFactor(ctx, s, func(r Record) (Change, error) {
		now := f.Now()
		step := totp.StepAt(now)
		if r.State != Enrolled {
			return Change{}, ErrNotEnrolled
		}
		if r.Step <= step {
			return Change{}, errLow
		}
		reason := fmt.Sprintf("codes are valid again; the last was taken at %s of a clock that was ahead", totp.StepBegins(r.Step).UTC().Format("2006-01-02T15:04:05Z"))
		r.Step = step
		return Change{Record: r, Events: []shadowsync.Event{event(now, s, by, ActionClock, reason)}}, nil
	})
	if errors.Is(err, errLow) {
		return false, nil
	}
	return err == nil, err
}

// errLow ends a change that is not needed.
var errLow = errors.New("the floor is not in the future")

// SetMail sets the address on record; empty: none. The audit does not show it.
func (f *Factors) SetMail(ctx context.Context, s Subject, address string, by shadowsync.Origin) error {
	if err := CheckAddress(address); err != nil {
		return err
	}
	return f.Store.ChangeFactor(ctx, s, func(r Record) (Change, error) {
		r.Mail, r.Mailed = address, nil // a code that was mailed to another address is void
		if r.State == Enrolled {        // and an enrolment code that it gave
			r.Ticket = nil
		}
		reason := "an address"
		if address == "" {
			reason = "no address"
		}
		return Change{Record: r, Events: []shadowsync.Event{event(f.Now(), s, by, ActionMail, reason)}}, nil
	})
}

// ErrAddress is the error for a text that is no address.
var ErrAddress = errors.New("not a mail address of the form name@domain")

// maxAddress is the longest address of RFC 5321 (4.5.3.1.3, without its angle brackets).
const maxAddress = 254

// CheckAddress returns ErrAddress unless the text is an address, or empty.
func CheckAddress(text string) error {
	if text == "" {
		return nil
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text || len(text) > maxAddress || strings.ContainsAny(text, " \t\r\n\"<>") {
		return ErrAddress
	}
	return nil
}
