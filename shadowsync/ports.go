package shadowsync

import (
	"context"
	"errors"
	"time"
)

// Account is an OS user as the OS side knows it.
type Account struct {
	Name string
	UID  int
	// Protected is why a store may not change this account's OS side ("uid 0",
	// "member of sudo"); empty: it may.
	Protected string
	Credential
}

// Write asks a side to replace one account's credential. It is a
// compare-and-swap: the side refuses with ErrChanged when it no longer holds
// Expect in the fields it has.
type Write struct {
	Name   string
	Expect Credential
	Want   Credential
	Create bool // the account is to be added (store side only); Expect is ignored
	Delete bool // the account is to be removed, as somebody asked (store side only); Want is ignored
}

// Probes tells whether a write changes nothing: it asks whether the side can be
// written at all, and a store carries it out as any other.
func (w Write) Probes() bool { return !w.Create && !w.Delete && w.Expect == w.Want }

// Errors that sides return, alone or wrapped.
var (
	// ErrUnavailable: not now; trying again later may help.
	ErrUnavailable = errors.New("not available")
	// ErrMalformed: what the store holds cannot be understood; a person must look.
	ErrMalformed = errors.New("malformed")
	// ErrChanged: the side no longer holds what the writer expected.
	ErrChanged = errors.New("changed meanwhile")
	// ErrNoAccount: no such account on this side.
	ErrNoAccount = errors.New("no such account")
	// ErrNotYet: the sessions but one have ended; the end is still due.
	ErrNotYet = errors.New("not yet")
	// ErrLockLost: the engine lock's deadline passed and another process took it over.
	ErrLockLost = errors.New("the engine lock was taken over")
)

// RefusedError is a store's refusal of a value: no retry can help.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused: " + e.Reason }

// OSSnapshot is one consistent reading of the OS side.
type OSSnapshot struct {
	Revision string // changes whenever the file's content does
	Accounts map[string]Account
}

// Accounts is the OS side: the lines of shadow(5).
type Accounts interface {
	// Revision identifies the present content without parsing it.
	Revision(ctx context.Context) (string, error)
	// Read returns those of the named accounts that exist.
	Read(ctx context.Context, names []string) (OSSnapshot, error)
	// UIDs returns the uids of those of the named accounts that exist, at a lower price.
	UIDs(ctx context.Context, names []string) (map[string]int, error)
	// Write replaces all given accounts in one replacement of the file. The map
	// names the accounts that were left alone, and why; an error means that
	// nothing was written at all.
	Write(ctx context.Context, writes []Write) (map[string]error, error)
}

// StoreRecord is what a store holds for an account.
type StoreRecord struct {
	Credential
	ChangedAt time.Time // when this record changed; zero where the store does not tell
}

// StoreSnapshot is one consistent reading of a store.
type StoreSnapshot struct {
	Revision string
	Records  map[string]StoreRecord
	// Malformed are the accounts whose record alone cannot be understood, and why.
	// They have no entry in Records.
	Malformed map[string]string
}

// Capabilities tell what a store can hold.
type Capabilities struct {
	Fields  Fields
	Formats Formats
}

// CredentialStore is the application's own user database, reached through a
// driver. Its errors wrap ErrUnavailable (try again) or ErrMalformed (a person
// must look); a single account's refusal is a *RefusedError.
type CredentialStore interface {
	Capabilities() Capabilities
	// Revision identifies the present content as cheaply as the store can.
	Revision(ctx context.Context) (string, error)
	// Read returns those of the named accounts that the store holds.
	Read(ctx context.Context, names []string) (StoreSnapshot, error)
	// Write persists all given accounts; when it returns without error they are
	// durable, but for those the map names with ErrChanged, ErrNoAccount,
	// ErrMalformed (their record alone) or a *RefusedError.
	Write(ctx context.Context, writes []Write) (map[string]error, error)
	// Watch sends on the channel whenever the store may have changed, coalesced,
	// until ctx ends.
	Watch(ctx context.Context) (<-chan struct{}, error)
	Close() error
}

// Revisions identify what was seen when everything was last in sync.
type Revisions struct {
	OS, Store, Config string
}

// AccountMemory is what is on record for one account.
type AccountMemory struct {
	Baseline   *Baseline
	Open       *Change
	Record     Record
	Past       Past
	LastChange *Origin // of the value that both sides hold
	WriteBacks int     // how often the application wrote an old value back since the last change
}

// Memory is what is on record for an application. Accounts never seen have no entry.
type Memory struct {
	Accounts map[string]AccountMemory
	Synced   Revisions // zero unless everything was in sync at these
	Settle   time.Time // until when the application settles after its last start
	Whole    bool      // Record and Past are in it, where a survey may leave them out
}

// Transition is what one account's record becomes, all of it in one transaction.
type Transition struct {
	Account  string
	Baseline *Baseline // nil: unchanged
	Open     *Change   // nil: no change is open any longer
	// Seen is the open change that this settles or replaces, known by its Since; nil:
	// none was open. Another one came on record meanwhile, and stays.
	Seen      *Change
	Displaced []Entry // values that go on record
	Past      Past    // what the application may remember from now on; none: nothing new
	Origin    *Origin // of the value both sides now hold; nil: unchanged
	WriteBack bool    // counts one more write-back; otherwise a moved baseline resets the count
	Events    []Event // for the audit trail
	Logout    *Logout // sessions that the old password opened are to end
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

// State is what outlives the process: baselines, open changes, record, audit.
type State interface {
	// Load returns what is on record for the named accounts of an application; nil names: all.
	Load(ctx context.Context, application string, names []string) (Memory, error)
	// Survey may leave Record and Past out: the rest tells which accounts moved.
	Survey(ctx context.Context, application string, names []string) (Memory, error)
	// Journal puts changes on record before anything is written for them.
	Journal(ctx context.Context, application string, changes []Change) error
	// Commit carries out all transitions in one durable transaction.
	Commit(ctx context.Context, application string, transitions []Transition) error
	// Mark records the revisions at which everything is in sync; zero: it is not.
	Mark(ctx context.Context, application string, at Revisions) error
	// Record appends an audit event of its own.
	Record(ctx context.Context, event Event) error
	// Logouts lists the session ends still due; LogoutsDone settles some, all in one transaction.
	Logouts(ctx context.Context, application string) ([]Logout, error)
	LogoutsDone(ctx context.Context, done ...LoggedOut) error
}

// Locker hands out the engine lock.
type Locker interface {
	Acquire(ctx context.Context) (Lease, error)
}

// Lease is the engine lock, held until released or past its deadline. All writes
// are compare-and-swap, so a lease that was lost costs work and never a password.
type Lease interface {
	// Extend proves that the lease is still held and moves its deadline; else ErrLockLost.
	Extend() error
	Release()
}

// Guard holds back stop and restart of an application's unit.
type Guard interface {
	// Set holds the unit back for these accounts' sake; none lifts the guard.
	Set(ctx context.Context, unit string, accounts []string) error
}

// Session is a login of an account.
type Session struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"` // logind's service: sshd, login, su
	Terminal string    `json:"terminal,omitempty"`
	Remote   string    `json:"remote,omitempty"`
	Since    time.Time `json:"since"`
}

// Sessions ends what an old password opened.
type Sessions interface {
	// End ends every session of the account but the one that l keeps, lists again, and
	// returns who survived. ErrNotYet: there is one left that has to end later.
	End(ctx context.Context, account Account, l Logout) (ended, survivors []Session, err error)
}
