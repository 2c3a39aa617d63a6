package factor

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Beginning begins an enrolment.
type Beginning struct {
	Subject
	Secret []byte // to take over; nil: a new one
	// ByRoot: no enrolment code is needed after a reset. Everybody else shows it, so that a stolen
	// password does not suffice to enrol.
	ByRoot bool
	// Shown: a code of the present factor was just taken, so that its owner moves to another authenticator.
	Shown  bool
	Code   []byte // the enrolment code
	Source string // where it comes from, as in Attempt
	Origin shadowsync.Origin
}

// The actions of the audit.
const (
	ActionBegun    = "enrol-begun"
	ActionEnrolled = "enrolled"
	ActionRenewed  = "codes-renewed"
)

// The refusals of an enrolment code.
var (
	ErrTicket  = refused("the second factor was reset: an enrolment code is needed")
	ErrExpired = refused("the enrolment code is not valid any more, after a day or a reboot; an administrator can reset the second factor again")
)

// Begin begins an enrolment, instead of one that was begun earlier. The account is enrolled when
// Confirm has seen a code of the returned secret, which the caller clears. A factor that is enrolled
// works until then.
func (f *Factors) Begin(ctx context.Context, b Beginning) (secret []byte, err error) {
	r, err := f.Store.Factor(ctx, b.Subject)
	switch {
	case err != nil:
		return nil, err
	case r.State == Enrolled && b.Shown:
	case r.State == Enrolled && (b.ByRoot || r.Ticket == nil):
		return nil, ErrEnrolled
	}
	if !b.ByRoot && r.Ticket != nil && (r.State != Enrolled || !b.Shown) {
		if err := f.admitted(ctx, r, b); err != nil {
			return nil, err
		}
	}
	if err := f.provideKey(ctx); err != nil {
		return nil, err
	}
	secret = append([]byte{}, b.Secret...)
	if len(secret) == 0 {
		secret = totp.NewSecret()
	}
	if err := f.begin(ctx, b, r, secret); err != nil {
		clear(secret)
		return nil, err
	}
	return secret, nil
}

// admitted checks the enrolment code.
func (f *Factors) admitted(ctx context.Context, r Record, b Beginning) error {
	if kind, _ := onetime.Read(b.Code); kind != onetime.Enrolment {
		return ErrTicket
	}
	return f.braked(ctx, Attempt{b.Subject, b.Code, b.Source, b.Origin}, r, onetime.Enrolment, func() error {
		switch {
		case !onetime.Matches(r.Ticket.Hash, b.Code):
			return ErrWrong
		case !r.Ticket.Valid(f.Boot()):
			return ErrExpired
		}
		return nil
	})
}

func (f *Factors) begin(ctx context.Context, b Beginning, seen Record, secret []byte) error {
	key, err := f.Key.Get()
	if err != nil {
		return err
	}
	defer clear(key)
	return f.Store.ChangeFactor(ctx, b.Subject, func(r Record) (Change, error) {
		if r.Generation != seen.Generation {
			return Change{}, errMeanwhile
		}
		next := r
		next.State, next.Generation, next.Recovery = Pending, r.Generation+1, nil
		var err error
		if next.Secret, err = next.sealWith(key, secret); err != nil {
			return Change{}, err
		}
		if r.State == Enrolled { // the present secret works until the new one is confirmed
			r.Mailed = &Mailed{Next: next.Secret}
			if b.Shown {
				r.Ticket = nil // who has the factor is not on the way back by mail
			}
			next = r
		}
		reason := "with a new secret"
		if b.Secret != nil {
			reason = "with a secret that was imported"
		}
		return Change{Record: next, Events: []shadowsync.Event{event(f.Now(), b.Subject, b.Origin, ActionBegun, reason)}}, nil
	})
}

// pending is the record as it is with the enrolment that was begun; false: none was.
func (r Record) pending() (Record, bool) {
	if r.State != Enrolled {
		return r, r.State == Pending
	}
	if r.Mailed == nil || len(r.Mailed.Next) == 0 {
		return r, false
	}
	next := r
	next.State, next.Generation, next.Step, next.Secret = Pending, r.Generation+1, 0, r.Mailed.Next
	return next, true
}

// Awaited reports whether a code is of the enrolment that was begun on the way back by mail, so that
// Confirm is to take it. Every other one is for Check: until then the account is enrolled as before. It
// takes nothing and counts nothing, so its result must not be told.
func (f *Factors) Awaited(ctx context.Context, a Attempt) (bool, error) {
	kind, code := onetime.Read(a.Code)
	defer clear(code)
	kept, err := f.Store.Factor(ctx, a.Subject)
	r, begun := kept.pending()
	if err != nil || !begun || kept.State != Enrolled || kind != onetime.TOTP {
		return false, err
	}
	secret, err := f.unseal(r)
	if err != nil {
		return false, nil // nothing opens it, and Check says whether that is also so of the present one
	}
	defer clear(secret)
	_, right := totp.Match(secret, code, f.Now(), r.Step)
	return right, nil
}

// Confirm enrols the account by a code of the secret that Begin returned, and takes that code. It
// returns the recovery codes, which nothing can show again.
func (f *Factors) Confirm(ctx context.Context, a Attempt) (recovery []string, err error) {
	kind, code := onetime.Read(a.Code)
	defer clear(code)
	if kind != onetime.TOTP {
		return nil, ErrForm
	}
	a.Code = code
	kept, err := f.Store.Factor(ctx, a.Subject)
	r, begun := kept.pending()
	switch {
	case err != nil:
		return nil, err
	case !begun && r.State == Enrolled:
		return nil, ErrEnrolled
	case !begun:
		return nil, ErrNotBegun
	}
	err = f.braked(ctx, a, r, onetime.TOTP, func() error {
		use, err := f.step(r, a.Code)
		if err != nil {
			return err
		}
		recovery, err = f.confirm(ctx, a, r, use)
		return err
	})
	return recovery, err
}

func (f *Factors) confirm(ctx context.Context, a Attempt, seen Record, use use) ([]string, error) {
	codes, hashes := newRecovery()
	err := f.Store.ChangeFactor(ctx, a.Subject, func(kept Record) (Change, error) {
		r, begun := kept.pending()
		if !begun || r.Generation != seen.Generation || !bytes.Equal(r.Secret, seen.Secret) {
			return Change{}, errMeanwhile
		}
		now := f.Now()
		var events []shadowsync.Event
		if kept.State == Enrolled {
			by := "by the code that was mailed; "
			if kept.Ticket == nil {
				by = "by a code of the former authenticator; "
			}
			events = append(events, event(now, a.Subject, a.Origin, ActionReset, by+kept.dropped()))
		}
		if _, err := use(&r, now); err != nil {
			return Change{}, err
		}
		r.State, r.EnrolledAt, r.UsedAt, r.Recovery, r.Ticket, r.Mailed = Enrolled, now, now, hashes, nil, nil
		place, _ := PlaceOf(a.Source)
		r.visit(place, now)
		reason := "with " + plural.Count(len(codes), "recovery code")
		return Change{Record: r, Events: append(events, event(now, a.Subject, a.Origin, ActionEnrolled, reason))}, nil
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// newRecovery returns new recovery codes, and what is kept of them.
func newRecovery() (codes []string, kept []RecoveryCode) {
	codes = onetime.NewRecovery()
	for _, code := range codes {
		kept = append(kept, RecoveryCode{Hash: onetime.Hash(code)})
	}
	return codes, kept
}

// Renew replaces the recovery codes of an enrolled account, the used ones and the others, and returns
// the new ones. The secret stays.
func (f *Factors) Renew(ctx context.Context, s Subject, by shadowsync.Origin) ([]string, error) {
	seen, err := f.Store.Factor(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case seen.State != Enrolled:
		return nil, ErrNotEnrolled
	}
	key, err := f.Key.Get()
	if err != nil {
		return nil, err
	}
	defer clear(key)
	codes, hashes := newRecovery()
	err = f.Store.ChangeFactor(ctx, s, func(r Record) (Change, error) {
		if r.Generation != seen.Generation || r.State != Enrolled {
			return Change{}, errMeanwhile
		}
		unused := r.RecoveryLeft()
		if err := r.raise(key); err != nil {
			return Change{}, &KeyError{f.Key.Path(), errOtherKey}
		}
		r.Recovery, r.Mailed, r.Ticket = hashes, nil, nil // who has the factor is not on the way back
		reason := fmt.Sprintf("%s, instead of %d that were not used", plural.Count(len(codes), "recovery code"), unused)
		return Change{Record: r, Events: []shadowsync.Event{event(f.Now(), s, by, ActionRenewed, reason)}}, nil
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// raise raises the generation, for which the secret is sealed anew.
func (r *Record) raise(key []byte) error {
	secret, err := r.openWith(key)
	if err != nil {
		return err
	}
	defer clear(secret)
	r.Generation++
	r.Secret, err = r.sealWith(key, secret)
	return err
}

// ticketFor is how long an enrolment code is valid.
const ticketFor = 24 * time.Hour
