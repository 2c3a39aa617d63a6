package factor

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Attempt is a code that somebody shows.
type Attempt struct {
	Subject
	Code   []byte
	Source string // the address that it comes from; empty: this machine
	Origin shadowsync.Origin
}

// Taken says which code was taken.
type Taken struct {
	Recovery     bool
	RecoveryLeft int
}

// The actions of the audit.
const (
	ActionTaken   = "code-taken"
	ActionRefused = "code-refused"
	ActionGuessed = "codes-guessed"
)

// Check takes a code of an enrolled account, from the authenticator or a recovery code. With nil the
// code was right, is used up, and that is durable. Every other result is a refusal: [ErrNotEnrolled],
// [ErrForm], [ErrWrong], [ErrUsed], *[FloorError], *[SlowError], *[KeyError], or an error of the state.
func (f *Factors) Check(ctx context.Context, a Attempt) (Taken, error) {
	kind, code := onetime.Read(a.Code)
	defer clear(code)
	if kind != onetime.TOTP && kind != onetime.Recovery {
		return Taken{}, ErrForm
	}
	a.Code = code
	r, err := f.Store.Factor(ctx, a.Subject)
	if err != nil {
		return Taken{}, err
	}
	var taken Taken
	err = f.braked(ctx, a, r, kind, func() (err error) {
		taken, err = f.take(ctx, a, r, kind)
		return err
	})
	return taken, err
}

// take checks the code against the record as it was read, and takes it from the record as it is now.
// The first costs no write, so that wrong codes do not hold up the others.
func (f *Factors) take(ctx context.Context, a Attempt, r Record, kind onetime.Kind) (Taken, error) {
	if r.State != Enrolled {
		return Taken{}, ErrNotEnrolled
	}
	var use use
	var err error
	if kind == onetime.Recovery {
		use, err = f.recovery(r, a.Code)
	} else {
		use, err = f.step(r, a.Code)
	}
	if err != nil {
		return Taken{}, err
	}
	taken := Taken{Recovery: kind == onetime.Recovery}
	err = f.Store.ChangeFactor(ctx, a.Subject, func(now Record) (Change, error) {
		if now.State != r.State || now.Generation != r.Generation {
			return Change{}, errMeanwhile
		}
		at := f.Now()
		reason, err := use(&now, at)
		if err != nil {
			return Change{}, err
		}
		now.UsedAt, taken.RecoveryLeft = at, now.RecoveryLeft()
		place, _ := PlaceOf(a.Source)
		now.visit(place, at)
		return Change{Record: now, Events: []shadowsync.Event{event(at, a.Subject, a.Origin, ActionTaken, reason)}}, nil
	})
	return taken, err
}

// use uses a right code up, unless it was used meanwhile. It returns what the audit says.
type use func(r *Record, at time.Time) (reason string, err error)

// step finds the step that a code of the authenticator belongs to.
func (f *Factors) step(r Record, code []byte) (use, error) {
	secret, err := f.unseal(r)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	now := f.Now()
	step, right := totp.Match(secret, code, now, r.Step)
	if !right {
		return nil, refusal(r, secret, code, now)
	}
	return func(r *Record, _ time.Time) (string, error) {
		if step <= r.Step {
			return "", ErrUsed
		}
		r.Step = step
		return "from the authenticator", nil
	}, nil
}

// offsetWithin is how far from now a wrong code is looked for, in steps: an hour. A clock in another
// time zone is further off, and is found by its full hours.
const offsetWithin = int64(time.Hour / totp.Period)

// refusal says why a code cannot be taken.
func refusal(r Record, secret, code []byte, now time.Time) error {
	const anyStep = -1
	if _, right := totp.Match(secret, code, now, anyStep); right {
		if r.Step > totp.StepAt(now)+1 {
			return &FloorError{totp.StepBegins(r.Step + 1)}
		}
		return ErrUsed
	}
	if subtle.ConstantTimeCompare(totp.Code(secret, r.Step), code) == 1 { // of many logins at once, some are late
		return ErrUsed
	}
	if steps, found := totp.Offset(secret, code, now, offsetWithin); found {
		return &WrongError{steps}
	}
	return ErrWrong
}

// momentAgo: a recovery code that was used so lately comes from a login that was begun at the same time.
const momentAgo = time.Minute

// recovery finds the recovery code.
func (f *Factors) recovery(r Record, code []byte) (use, error) {
	found := -1
	for i, c := range r.Recovery { // all of them, in the same time
		if onetime.Matches(c.Hash, code) {
			found = i
		}
	}
	switch {
	case found < 0:
		return nil, ErrWrong
	case r.Recovery[found].Used.IsZero():
	case f.Now().Sub(r.Recovery[found].Used) < momentAgo:
		return nil, ErrUsed
	default:
		return nil, errSpent
	}
	return func(r *Record, at time.Time) (string, error) {
		if !r.Recovery[found].Used.IsZero() {
			return "", ErrUsed
		}
		r.Recovery[found].Used = at
		return "a recovery code; " + plural.Count(r.RecoveryLeft(), "code") + " left", nil
	}, nil
}
