package shadowsync

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Account is an OS user as the OS side knows it.
type Account struct {
	Name string
	UID  int
	Credential
}

// Write asks a side to replace one account's credential. It is a compare-and-swap: the side refuses
// with ErrChanged if it no longer holds Expect, in the fields that it has.
type Write struct {
	Name   string
	Expect Credential
	Want   Credential
	Create bool // the account is to be added (store side only); Expect is ignored
	Delete bool // the account is to be removed, on request (store side only); Want is ignored
}

// Probes reports whether a write changes nothing. Such a write checks whether the side can be
// written at all; a store carries it out like any other.
func (w Write) Probes() bool { return !w.Create && !w.Delete && w.Expect == w.Want }

// Errors that sides return, alone or wrapped.
var (
	// ErrUnavailable: not now; trying again later may help.
	ErrUnavailable = errors.New("not available")
	// ErrMalformed: the store's content cannot be parsed; an administrator must look.
	ErrMalformed = errors.New("malformed")
	// ErrChanged: the side no longer holds what the writer expected.
	ErrChanged = errors.New("changed meanwhile")
	// ErrNoAccount: no such account on this side.
	ErrNoAccount = errors.New("no such account")
	// ErrNotYet: all sessions except one have ended; that one must end later.
	ErrNotYet = errors.New("not yet")
	// ErrNoRevision: the store has no cheap revision. Whether it changed is found by reading it.
	ErrNoRevision = errors.New("no revision")
	// ErrNoWatch: the store cannot announce its changes. It must be asked from time to time.
	ErrNoWatch = errors.New("no watch")
	// ErrLockLost: the engine lock's deadline passed and another process took the lock.
	ErrLockLost = errors.New("the engine lock was taken over")
)

// RefusedError is a store's refusal of a value; a retry cannot help.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused: " + e.Reason }

// NotInForceError: the store holds the value, durably, but the application does not use it yet. A
// retry, which may write nothing, can help.
type NotInForceError struct{ Reason string }

func (e *NotInForceError) Error() string { return notInForce + e.Reason }

// notInForce begins the reason of a change that the store holds and the application does not use yet.
const notInForce = "written; not in force: "

// OSSnapshot is one consistent reading of the OS side.
type OSSnapshot struct {
	Revision string // changes whenever the file's content does
	Accounts map[string]Account
}

// Unwritten names the accounts that a write left as they were, and says why.
type Unwritten map[string]error

// Accounts is the OS side: the lines of shadow(5).
type Accounts interface {
	// Revision identifies the present content without parsing it.
	Revision(ctx context.Context) (string, error)
	// Read returns those of the named accounts that exist.
	Read(ctx context.Context, names []string) (OSSnapshot, error)
	// UIDs returns the uids of those of the named accounts that exist. It is cheaper than Read.
	UIDs(ctx context.Context, names []string) (map[string]int, error)
	// Write replaces all given accounts in one replacement of the file. An error
	// means that nothing was written at all.
	Write(ctx context.Context, writes []Write) (Unwritten, error)
}

// StoredAccount is what a store holds for an account.
type StoredAccount struct {
	Credential
	ChangedAt time.Time // when this record changed; zero if the store does not tell
}

// StoreSnapshot is one consistent reading of a store.
type StoreSnapshot struct {
	Revision string // of this content; empty: the store has none (ErrNoRevision)
	Accounts map[string]StoredAccount
	// Malformed says which accounts' records cannot be parsed, and why. They have no entry in
	// Accounts.
	Malformed map[string]string
}

// Capabilities say what a store can hold.
type Capabilities struct {
	Fields  Fields
	Formats Formats
	Creates bool // a Write may add an account
	// Scheme names the application's own hash scheme; empty: crypt(3). The values of a scheme are
	// opaque: no prefix of theirs, "!", "*" or empty value means anything. Such a store holds
	// FieldHash only, Credential.Hash is the value as stored, and Locked is always false.
	Scheme string
	Cost   int // of new values of the scheme, where the store has none to follow; 0: the scheme's default
	// As is how the store spells an account's name: a text with AsName in it. Empty: as the OS does. The
	// calls have the OS's names, and only a value that depends on the name has the other one in it.
	As string
}

// AsName is what stands for the OS's name in Capabilities.As.
const AsName = "{name}"

// Spelt returns how the store spells an account's name.
func (c Capabilities) Spelt(account string) string {
	if c.As == "" {
		return account
	}
	return strings.Replace(c.As, AsName, account, 1)
}

// Opaque reports whether the store's values are of a scheme of the application's own.
func (c Capabilities) Opaque() bool { return c.Scheme != "" }

// CredentialStore is the application's own user database, reached through a driver. Package
// internal/store/storetest tests that a driver does what is said here.
//
// Any number of goroutines may call it. Every call ends soon after its context, whatever the store does.
// An error of a call is about the store as a whole: it wraps ErrUnavailable (try again) or ErrMalformed
// (an administrator must look), and then nothing was written, unless the store did not say. After
// ErrUnavailable the same CredentialStore is asked again, and works as soon as the store does. What is
// about one account has its place in Malformed and Unwritten, and does not hinder the others. No text of
// an error holds a value.
type CredentialStore interface {
	// Capabilities say what this store can hold. They stay the same while it is open, and need no store
	// that answers.
	Capabilities() Capabilities
	// Revision identifies the present content as cheaply as the store can: it moves with every change,
	// whoever makes it, and stays while there is none. ErrNoRevision: the store cannot tell.
	Revision(ctx context.Context) (string, error)
	// Read returns those of the named accounts that the store holds, of one moment, each with the value
	// that the application would check a password against now. The snapshot has the revision of that
	// moment, if there is one.
	Read(ctx context.Context, names []string) (StoreSnapshot, error)
	// Write replaces the credentials of the given accounts, each if the store holds Expect: in the same
	// step, where the store has one. A value is kept to the byte or refused. Nothing else of the store
	// changes. When Write returns without an error, all are durable and are what the application finds,
	// except those that are Unwritten: with ErrChanged (it holds another value, or the account to be
	// created is there), ErrNoAccount, ErrMalformed (only this record) or a *RefusedError. A write of the
	// value that is there is carried out like any other, to show that it can be. Two writes for one
	// account are an error, and nothing is written. If the writer is killed, each account has its old
	// value or its new one, and later writers are not hindered.
	Write(ctx context.Context, writes []Write) (Unwritten, error)
	// Watch sends on the channel whenever the store may have changed, coalesced, until ctx ends; then it
	// closes the channel. ErrNoWatch: the store cannot tell, and is asked every 30 seconds.
	Watch(ctx context.Context) (<-chan struct{}, error)
	// Close frees what the store uses. It may be called more than once.
	Close() error
}

// WriteReader is a CredentialStore that writes and reads back in one call.
type WriteReader interface {
	// WriteRead is Write, and then Read of the same accounts from where the store keeps them. back is
	// nil if they were not read, whatever the reason; then Read tells more.
	WriteRead(ctx context.Context, writes []Write) (left Unwritten, back *StoreSnapshot, err error)
}

// Revisions identify the content of both sides, and the configuration, when all was last in sync.
type Revisions struct {
	OS, Store, Config string
}

// AccountMemory is the recorded state of one account.
type AccountMemory struct {
	Baseline   *Baseline
	Open       *Change
	Record     Record
	Past       Past
	LastChange *Origin // of the value that both sides hold
	WriteBacks int     // how often the application wrote an old value back since the last change
	Person     string  // whose account it is: see personNow; empty: not recorded yet
}

// Memory is the recorded state of an application. Accounts never seen have no entry.
type Memory struct {
	Accounts map[string]AccountMemory
	Synced   Revisions // zero unless everything was in sync at these revisions
	Settle   time.Time // until when the application settles after its last start
	// PastUnknown: the state began anew in place of a lost one, and the application has not read its
	// store since, with nothing doubtful in it. It may remember values that are not on record.
	PastUnknown bool
	Whole       bool // it includes Record and Past, which a survey may leave out
}

// Transition is the change of one account's recorded state, made in one transaction.
type Transition struct {
	Account  string
	Baseline *Baseline // nil: unchanged
	Open     *Change   // nil: no change is open any more
	// Seen is the open change that this settles or replaces, identified by its Since; nil: none was
	// open. A change recorded meanwhile stays.
	Seen      *Change
	Displaced []Entry // values for the history
	Returned  *Entry  // the recorded value that came back; its Returns is increased; nil: none
	Past      Past    // what the application may remember from now on; empty: nothing new
	Origin    *Origin // of the value that both sides now hold; nil: unchanged
	WriteBack bool    // counts one more write-back; otherwise a moved baseline resets the count
	Events    []Event // for the audit trail
	Logout    *Logout // sessions opened with the old password that must end
	Person    string  // whose account it is; empty: unchanged
	Successor bool    // the recorded data is another person's: all of it but the past is deleted first
}

// Event is one record of the audit trail. It never holds a hash or clear text.
type Event struct {
	At          time.Time   `json:"at"`
	Application string      `json:"application,omitempty"`
	Account     string      `json:"account,omitempty"`
	Action      string      `json:"action"`
	Result      ChangeState `json:"result,omitempty"`
	Reason      string      `json:"reason,omitempty"`
	Winner      string      `json:"winner,omitempty"` // side and hash prefix
	Loser       string      `json:"loser,omitempty"`
	Origin      Origin      `json:"origin"`
}

// Logout asks for the end of an account's sessions.
type Logout struct {
	ID      int64 // given by the state
	Account string
	Keep    string // the session that made the change; empty: none
	Origin  Origin
}

// LoggedOut settles a Logout.
type LoggedOut struct {
	ID    int64 // the Logout's
	Event Event
}

// State persists baselines, open changes, history and audit.
type State interface {
	// Load returns the recorded state of an application's named accounts; nil names: all.
	Load(ctx context.Context, application string, names []string) (Memory, error)
	// Survey may leave Record and Past out; the rest suffices to see which accounts moved.
	Survey(ctx context.Context, application string, names []string) (Memory, error)
	// Journal records changes before anything is written for them.
	Journal(ctx context.Context, application string, changes []Change) error
	// Commit carries out all transitions in one durable transaction.
	Commit(ctx context.Context, application string, transitions []Transition) error
	// Mark records the revisions at which everything is in sync; zero: it is not in sync.
	Mark(ctx context.Context, application string, at Revisions) error
	// Record appends a single audit event.
	Audit(ctx context.Context, events ...Event) error
	// Logouts lists the logouts still due; LogoutsDone settles the given ones in one transaction.
	Logouts(ctx context.Context, application string) ([]Logout, error)
	LogoutsDone(ctx context.Context, done ...LoggedOut) error
}

// Locker hands out the engine lock.
type Locker interface {
	Acquire(ctx context.Context) (Lease, error)
}

// Lease is the engine lock, held until it is released or its deadline passes. All writes are
// compare-and-swap, so losing a lease costs work but never a password.
type Lease interface {
	// Extend moves the deadline, or returns ErrLockLost if the lease is no longer held.
	Extend() error
	Release()
}

// Guard holds back stop and restart of an application's unit.
type Guard interface {
	// Set guards the unit because of these accounts, whose change a store lacks; without accounts
	// that store no longer guards it. store is the store's name, or "" for the application's first.
	// The unit is held back while any of its stores guards it. Accounts in anew have a new change: if
	// their time limit has passed, it starts again.
	Set(ctx context.Context, unit, store string, accounts []string, anew ...string) error
}

// Session is a login of an account.
type Session struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"` // logind's service: sshd, login, su
	Terminal string    `json:"terminal,omitempty"`
	Remote   string    `json:"remote,omitempty"`
	Since    time.Time `json:"since"`
}

// Sessions ends the sessions that an old password opened.
type Sessions interface {
	// End ends every session of the account except the one that l keeps, lists them again, and
	// returns the survivors. ErrNotYet: one session is left that must end later.
	End(ctx context.Context, account Account, l Logout) (ended, survivors []Session, err error)
}
