// Package factor keeps the second factors of accounts: it enrols them, checks their codes, renews and
// resets them. Every code of a second factor is checked in one place, [Factors.Check].
//
// It promises:
//
//   - A code is taken once. Taking it is one compare-and-set in one durable transaction, before success
//     is told: of any number of simultaneous checks of a code one succeeds. Earlier codes are dead then.
//   - An account is enrolled only after a code of the new secret was shown, which takes that code.
//   - What cannot be recorded, or cannot be read, is refused, never let through.
//   - Secrets are sealed at rest, under a key that is not in the state; recovery and enrolment codes are
//     hashed. In clear text they are in the checking process, for the length of a check, and nowhere else.
//   - Every change is audited in the transaction that makes it, and never with a secret or a code.
//
// Errors that wrap [shadowsync.ErrUnavailable] say nothing about the code: trying again may help.
//
//	factor.go  what is kept of a factor; the rules of its changes
//	check.go   Check: takes a code
//	brake.go   slows down guessing, wherever it comes from
//	enrol.go   enrolment: begun, then confirmed by a code; new recovery codes
//	reset.go   the way back when a factor is lost; the floor after a clock that was ahead; the mail address
//	lost.go    the user's own way: a mailed code
//	merge.go   which of two records of a factor holds, after a restore
//	seal.go    seals secrets
//	key.go     the key that seals them
//	list.go    the list of enrolled accounts that the PAM module reads, and what it still tells when the state is lost
package factor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Realm says where an account is kept.
type Realm string

// The realms.
const (
	Local Realm = "local" // in /etc/shadow
	LDAP  Realm = "ldap"  // in a directory
)

// ParseRealm reads the name of a realm.
func ParseRealm(text string) (Realm, error) {
	switch r := Realm(text); r {
	case Local, LDAP:
		return r, nil
	}
	return "", fmt.Errorf("there is no realm %q: it is %s or %s", text, Local, LDAP)
}

// Subject is whose factor it is.
type Subject struct {
	Realm   Realm
	Account string
}

// State is how far the enrolment of a factor is.
type State string

// The states; the texts are those of `user show --json`.
const (
	None     State = "none"
	Pending  State = "pending" // begun, and no code was shown yet: nothing asks for one
	Enrolled State = "enrolled"
)

// Record is all that is kept of an account's second factor.
type Record struct {
	Subject
	State      State
	Secret     []byte         // sealed for this account and generation; empty: none
	Generation int64          // raised by each enrolment, renewal and reset
	Step       int64          // the last one of which a code was taken; it and all earlier ones are dead
	Recovery   []RecoveryCode // ten, or none
	Ticket     *Ticket        // handed out by a reset, until the account is enrolled anew
	Mail       string         // the address on record; empty: none
	EnrolledAt time.Time
	UsedAt     time.Time // when a code was last taken
	Mailed     *Mailed   // the way back of who lost the authenticator; nil: it was not begun
	UID        *int      // the account's, by which it is found when it was renamed; nil: not known
	Places     []Place   // where codes were right lately
}

// RecoveryCode is a code that works once, without the authenticator.
type RecoveryCode struct {
	Hash []byte    `json:"hash"` // as onetime.Hash made it
	Used time.Time `json:"used,omitzero"`
}

// Ticket is what is kept of an enrolment code: whoever enrols the account anew must have it. It ages
// by the clock since boot, which nobody can set, so it also ends with the boot.
type Ticket struct {
	Hash  []byte
	Boot  string // boot.ID; empty: handed out from a rescue system, for any boot
	Until time.Duration
}

// Valid reports whether the enrolment code is still taken, so long after the boot with this id began.
func (t Ticket) Valid(boot string, elapsed time.Duration) bool {
	return (t.Boot == boot || t.Boot == "") && elapsed < t.Until
}

// RecoveryLeft is how many recovery codes were not used.
func (r Record) RecoveryLeft() (left int) {
	for _, c := range r.Recovery {
		if c.Used.IsZero() {
			left++
		}
	}
	return left
}

// Asked reports whether the account must show a code, or enrol anew with an enrolment code.
func (r Record) Asked() bool { return r.State == Enrolled || r.Ticket != nil }

// Change is the result of a change to a record: what is kept from now on, and what is audited with it.
type Change struct {
	Record Record
	Events []shadowsync.Event
	// Logout, with its application, is the end of the account's sessions; nil: they stay.
	Logout *Logout
}

// Logout asks for the end of an account's sessions.
type Logout struct {
	Application string
	shadowsync.Logout
}

// Store keeps the records.
type Store interface {
	// Factor returns the record of a subject. If nothing is kept of it, its state is None.
	Factor(context.Context, Subject) (Record, error)
	// Factors returns all records that are kept, sorted by realm and account.
	Factors(context.Context) ([]Record, error)
	// ChangeFactor calls change with the present record and makes what it returns durable, in one
	// transaction that excludes every other. If change fails, nothing is written.
	ChangeFactor(ctx context.Context, s Subject, change func(Record) (Change, error)) error
	// Audit records what changed nothing.
	Audit(context.Context, ...shadowsync.Event) error
}

// Factors are the second factors of a system.
type Factors struct {
	Store Store
	Key   Key
	Brake Brake
	Now   func() time.Time
	// Boot returns the id of this boot and the time since it. For a mounted system, the id is empty and
	// the time 0.
	Boot func() (id string, elapsed time.Duration)
}

// Of returns the record of a subject.
func (f *Factors) Of(ctx context.Context, s Subject) (Record, error) { return f.Store.Factor(ctx, s) }

// The reasons why a factor cannot be used or changed.
var (
	ErrNotEnrolled = errors.New("no second factor is enrolled")
	ErrEnrolled    = errors.New("a second factor is enrolled already")
	ErrNotBegun    = errors.New("no enrolment was begun")
	// ErrRefused is every error that says that a code was not taken.
	ErrRefused = errors.New("the code was refused")
	// ErrForm: nothing was tried, so nothing is counted.
	ErrForm  = refused("that is no code: six digits, or a recovery code")
	ErrWrong = refused("the code is not right")
	ErrUsed  = refused("the code was used already; wait for the next one")
	// errSpent is ErrUsed for a code that nobody tries again by mistake: it counts as wrong.
	errSpent = fmt.Errorf("%w", ErrUsed)
	// errMeanwhile: the factor was changed between two looks at it.
	errMeanwhile = fmt.Errorf("the second factor was changed meanwhile: %w", shadowsync.ErrUnavailable)
)

// refused is an ErrRefused with another text.
type refused string

func (r refused) Error() string        { return string(r) }
func (r refused) Is(target error) bool { return target == ErrRefused }

// WrongError is the error for a code that fits no time near now, and fits another one. Only root may
// be told.
type WrongError struct{ Steps int64 } // how many the code is ahead of our clock

func (e *WrongError) Error() string {
	return fmt.Sprintf("%v; it fits %s: compare the clocks", ErrWrong, e.Ahead())
}
func (e *WrongError) Unwrap() error { return ErrWrong }

// Ahead says by how much the code's clock differs from ours.
func (e *WrongError) Ahead() string {
	by := time.Duration(e.Steps) * totp.Period
	if by < 0 {
		return fmt.Sprintf("a clock that is %v behind", -by)
	}
	return fmt.Sprintf("a clock that is %v ahead", by)
}

// FloorError is the error while the last step of which a code was taken lies in the future: the clock
// was ahead then. Recovery codes work meanwhile.
type FloorError struct{ Until time.Time }

func (e *FloorError) Error() string {
	return "a code of a later time was taken when the clock was ahead; no other is taken until " + e.Until.Local().Format("2006-01-02 15:04:05")
}
func (*FloorError) Unwrap() error { return ErrRefused }

// Told is what whoever showed a code may be told about an error of [Factors.Check] or
// [Factors.Confirm]; false: nothing, the cause is for root. By how much the clocks differ is for root
// alone, too.
func Told(err error) (text string, told bool) {
	var slow *SlowError
	var floor *FloorError
	switch {
	case errors.As(err, &slow):
		return slow.Error(), true
	case errors.As(err, &floor):
		return floor.Error(), true
	}
	var out *OutError
	if errors.As(err, &out) {
		return out.Error(), true
	}
	for _, refused := range []error{ErrWrong, ErrUsed, ErrForm, ErrTicket} {
		if errors.Is(err, refused) {
			return refused.Error(), true
		}
	}
	return "", false
}

// event is the audit record of something done to a factor.
func event(at time.Time, s Subject, by shadowsync.Origin, action, reason string) shadowsync.Event {
	if s.Realm != Local {
		reason = string(s.Realm) + ": " + reason
	}
	return shadowsync.Event{At: at, Account: s.Account, Action: action, Reason: reason, Origin: by}
}
