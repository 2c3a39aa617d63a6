package factor

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Mailed is what is kept of a code that was mailed to the address on record. Its few digits could be
// guessed from a hash, so it is sealed like a secret. It ages by the clock since boot.
type Mailed struct {
	Sealed []byte        `json:"sealed,omitempty"` // empty: it was shown
	Own    bool          `json:"own,omitempty"`    // one was shown, and the account enrols anew: another may be mailed
	Boot   string        `json:"boot"`
	Until  time.Duration `json:"until"`
	Wrong  int           `json:"wrong"` // codes that were tried
}

// Limits of a mailed code.
const (
	mailedFor   = 10 * time.Minute
	mailedTries = 5
)

// The actions of the audit.
const (
	ActionLost      = "lost"
	ActionNotMailed = "not-mailed"
)

// The refusals of the way back by mail.
var (
	ErrNoAddress = errors.New("no mail address is on record")
	ErrNoMailed  = refused("no mailed code is valid now; begin with 'lost'")
	ErrMailedOld = refused("the mailed code is not valid any more; begin again with 'lost'")
	// ErrNotMailed is every error of a mail that was not sent.
	ErrNotMailed = errors.New("the code could not be mailed")
)

// Recoverable reports whether the account can be enrolled anew by a code mailed to its address. After
// a reset by an administrator it cannot: only the enrolment code that they hand out opens it.
func (r Record) Recoverable() bool {
	return r.Mail != "" && (r.State == Enrolled || r.Ticket != nil && r.Mailed != nil && r.Mailed.Own)
}

// Lose mails a code to the address on record of an account whose authenticator is lost, and returns the
// address as the user may see it. Nothing else changes: the factor works until that code was shown. The
// caller has proven the first factor. send gets the address and the code. Every request slows down the
// next ones, wherever they come from, so that nobody floods a mailbox.
func (f *Factors) Lose(ctx context.Context, a Attempt, send func(ctx context.Context, address, code string) error) (masked string, err error) {
	r, err := f.Store.Factor(ctx, a.Subject)
	switch {
	case err != nil:
		return "", err
	case r.Mail == "":
		return "", ErrNoAddress
	case !r.Recoverable():
		return "", ErrNotEnrolled
	}
	if wait := f.Brake.Begin(braking(a.Subject, "anywhere", onetime.Mailed)+", asked for", f.Now()); wait > 0 {
		return "", &SlowError{wait}
	}
	key, err := f.Key.Get()
	if err != nil {
		return "", err
	}
	defer clear(key)
	code := onetime.NewMailed()
	id, elapsed := f.Boot()
	err = f.Store.ChangeFactor(ctx, a.Subject, func(now Record) (Change, error) {
		if now.Generation != r.Generation || now.Mail != r.Mail {
			return Change{}, errMeanwhile
		}
		sealed, err := now.sealMailed(key, []byte(code))
		if err != nil {
			return Change{}, err
		}
		own := now.Mailed != nil && now.Mailed.Own
		now.Mailed = &Mailed{Sealed: sealed, Own: own, Boot: id, Until: elapsed + mailedFor}
		return Change{Record: now, Events: []shadowsync.Event{event(f.Now(), a.Subject, a.Origin, ActionLost, "a code is mailed to the address on record")}}, nil
	})
	if err != nil {
		return "", err
	}
	if err := send(ctx, r.Mail, code); err != nil {
		failed := event(f.Now(), a.Subject, a.Origin, ActionNotMailed, err.Error())
		return "", errors.Join(fmt.Errorf("%w: %w", ErrNotMailed, err), f.Store.Audit(context.WithoutCancel(ctx), failed))
	}
	return Masked(r.Mail), nil
}

// Regain takes a mailed code. If it is right, it is used up, and the lost factor is reset: the result is
// a new enrolment code. A wrong one is counted with the code: after five it is void.
func (f *Factors) Regain(ctx context.Context, a Attempt, logout *Logout) (enrolment string, err error) {
	kind, code := onetime.Read(a.Code)
	defer clear(code)
	if kind != onetime.Mailed {
		return "", ErrForm
	}
	err = f.braked(ctx, a, onetime.Mailed, func() error {
		enrolment, err = f.regain(ctx, a, code, logout)
		return err
	})
	if err != nil {
		return "", err
	}
	return enrolment, nil
}

func (f *Factors) regain(ctx context.Context, a Attempt, code []byte, logout *Logout) (enrolment string, err error) {
	key, err := f.Key.Get()
	if err != nil {
		return "", err
	}
	defer clear(key)
	enrolment = onetime.NewEnrolment()
	id, elapsed := f.Boot()
	var refusal error
	err = f.Store.ChangeFactor(ctx, a.Subject, func(r Record) (Change, error) {
		m := r.Mailed
		switch {
		case m == nil || len(m.Sealed) == 0:
			return Change{}, ErrNoMailed
		case m.Boot != id || elapsed >= m.Until || m.Wrong >= mailedTries:
			return Change{}, ErrMailedOld
		}
		want, err := r.openMailed(key)
		defer clear(want)
		if err != nil { // of another generation
			return Change{}, ErrNoMailed
		}
		if refusal = nil; subtle.ConstantTimeCompare(want, code) != 1 {
			refusal = ErrWrong
			more := *m
			more.Wrong++
			r.Mailed = &more
			return Change{Record: r}, nil
		}
		next := r.reset(onetime.Hash(enrolment), id, elapsed)
		next.Mailed = &Mailed{Own: true, Boot: id}
		reason := "by the code that was mailed; " + r.dropped()
		return Change{Record: next, Events: []shadowsync.Event{event(f.Now(), a.Subject, a.Origin, ActionReset, reason)}, Logout: logout}, nil
	})
	return enrolment, errors.Join(err, refusal)
}

// reset is the record after a reset.
func (r Record) reset(ticket []byte, boot string, elapsed time.Duration) Record {
	return Record{
		Subject: r.Subject, State: None, Generation: r.Generation + 1, Mail: r.Mail,
		Ticket: &Ticket{Hash: ticket, Boot: boot, Until: elapsed + ticketFor},
	}
}

// Masked is an address as it is shown to who may not know it: a…n@example.net.
func Masked(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 {
		return "…"
	}
	local, domain := address[:at], address[at:]
	first, _ := utf8.DecodeRuneInString(local)
	last, size := utf8.DecodeLastRuneInString(local)
	if utf8.RuneCountInString(local) < 3 || size == 0 {
		return string(first) + "…" + domain
	}
	return string(first) + "…" + string(last) + domain
}
