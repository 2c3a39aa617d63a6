package factor

import (
	"bytes"
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

// Mailed is how far the way back by mail is. A code that is out is sealed like a secret, because its few
// digits could be guessed from a hash. It ages by the clock since boot.
type Mailed struct {
	Sealed []byte        `json:"sealed,omitempty"` // empty: no code is out
	Boot   string        `json:"boot,omitempty"`
	Until  time.Duration `json:"until,omitempty"`
	Wrong  int           `json:"wrong"` // codes that were tried
	// Next is the secret of the new enrolment, sealed for the next generation. The present one works until
	// a code of it was shown.
	Next []byte `json:"next,omitempty"`
}

// left is how long the code that is out is still taken; 0: none is.
func (m *Mailed) left(boot string, elapsed time.Duration) time.Duration {
	if m == nil || len(m.Sealed) == 0 || m.Boot != boot || m.Wrong >= mailedTries {
		return 0
	}
	return max(0, m.Until-elapsed)
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

// OutError is the error while a mailed code is out: another one would void it, and the tries with it.
type OutError struct{ Until time.Time }

func (e *OutError) Error() string {
	return "a code was mailed already; it is valid until " + e.Until.Local().Format("15:04") + ", and another one can be mailed after that"
}
func (*OutError) Unwrap() error { return ErrRefused }

// out is that error, or nil.
func (f *Factors) out(m *Mailed) error {
	if left := m.left(f.Boot()); left > 0 {
		return &OutError{f.Now().Add(left)}
	}
	return nil
}

// Recoverable reports whether the account can be enrolled anew by a code mailed to its address. After
// a reset by an administrator it cannot: only the enrolment code that they hand out opens it.
func (r Record) Recoverable() bool { return r.Mail != "" && r.State == Enrolled }

// Lose mails a code to the address on record of an account whose authenticator is lost, and returns the
// address as the user may see it. Nothing else changes. While a code is out, no other is mailed: an
// *[OutError]. The caller has proven the first factor. send gets the address and the code. Every request
// slows down the next ones, wherever they come from, so that nobody floods a mailbox.
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
	if err := f.out(r.Mailed); err != nil {
		return "", err
	}
	if wait := f.Brake.Begin(Count{AtPlace, fmt.Sprintf("%s/%s, asked for a mail", r.Realm, r.Account)}, f.Now()); wait > 0 {
		return "", &SlowError{Wait: wait}
	}
	key, err := f.Key.Get()
	if err != nil {
		return "", err
	}
	defer clear(key)
	code := onetime.NewMailed()
	sealed, err := r.sealMailed(key, []byte(code))
	if err != nil {
		return "", err
	}
	id, elapsed := f.Boot()
	err = f.Store.ChangeFactor(ctx, a.Subject, func(now Record) (Change, error) {
		if now.Generation != r.Generation || now.Mail != r.Mail {
			return Change{}, errMeanwhile
		}
		if err := f.out(now.Mailed); err != nil { // of a request at the same time
			return Change{}, err
		}
		mailed := Mailed{Sealed: sealed, Boot: id, Until: elapsed + mailedFor}
		if now.Mailed != nil { // whoever only knows the password must not void what the owner has begun
			mailed.Next = now.Mailed.Next
		}
		now.Mailed = &mailed
		return Change{Record: now, Events: []shadowsync.Event{event(f.Now(), a.Subject, a.Origin, ActionLost, "a code is mailed to the address on record")}}, nil
	})
	if err != nil {
		return "", err
	}
	if err := send(ctx, r.Mail, code); err != nil {
		return "", errors.Join(fmt.Errorf("%w: %w", ErrNotMailed, err), f.recall(context.WithoutCancel(ctx), a, sealed, err))
	}
	return Masked(r.Mail), nil
}

// recall voids a code that could not be mailed, so that another one can be.
func (f *Factors) recall(ctx context.Context, a Attempt, sealed []byte, why error) error {
	return f.Store.ChangeFactor(ctx, a.Subject, func(r Record) (Change, error) {
		if r.Mailed != nil && bytes.Equal(r.Mailed.Sealed, sealed) {
			r.Mailed = &Mailed{Next: r.Mailed.Next}
		}
		return Change{Record: r, Events: []shadowsync.Event{event(f.Now(), a.Subject, a.Origin, ActionNotMailed, why.Error())}}, nil
	})
}

// Regain takes a mailed code. If it is right, it is used up, and the result is an enrolment code: with it
// the account is enrolled anew (Begin, then Confirm; see Awaited), and the lost factor works until then. A
// wrong one is counted with the code: after five it is void.
func (f *Factors) Regain(ctx context.Context, a Attempt, logout *Logout) (enrolment string, err error) {
	kind, code := onetime.Read(a.Code)
	defer clear(code)
	if kind != onetime.Mailed {
		return "", ErrForm
	}
	err = f.braked(ctx, a, Record{Subject: a.Subject}, onetime.Mailed, func() error {
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
		case m.left(id, elapsed) == 0:
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
		r.Mailed, r.Ticket = nil, &Ticket{Hash: onetime.Hash(enrolment), Boot: id, Until: elapsed + ticketFor}
		reason := "the one that was mailed, for a new enrolment"
		return Change{Record: r, Events: []shadowsync.Event{event(f.Now(), a.Subject, a.Origin, ActionTaken, reason)}, Logout: logout}, nil
	})
	return enrolment, errors.Join(err, refusal)
}

// reset is the record after a reset.
func (r Record) reset(ticket []byte, boot string, elapsed time.Duration) Record {
	return Record{
		Subject: r.Subject, State: None, Generation: r.Generation + 1, Mail: r.Mail, UID: r.UID,
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
