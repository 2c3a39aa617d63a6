// Package bulk carries out, for root, one change of credentials on any number of accounts: set, reset
// or expire a password, lock, unlock, restore. It works in batches: while one is set on both sides,
// the hashes of the next are made. Each account's result is told as soon as it is durable, so that an
// interrupted or killed run has told what it did.
//
//	bulk.go     what a change is, and who is told of it
//	verbs.go    the changes that there are
//	run.go      carries one out, batch by batch
//	settle.go   sets one batch on both sides, records and tells it
//	factor.go   resets the second factors too
//	hashing.go  prepares the hashes, in batches
//	judging.go  holds new passwords to the rules
//	list.go     the accounts of a list, with or without passwords
package bulk

import (
	"github.com/shadowsync/shadowsync/internal/account/barrier"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Verb is what is done to the credentials of accounts: one change per account, on both sides, in one
// audited transaction.
type Verb struct {
	Name string // for the audit: "reset password, unlock"
	// Wish returns the new credential of an account, and which fields it changes.
	Wish func(Person) (Wish, error)
	// TakesTokens: the lines of a list hold passwords.
	TakesTokens bool
	// Generates: the passwords are made here, and shown once.
	Generates bool
	// Judge checks new passwords against the machine's rules and the configuration's; nil: no
	// check.
	Judge *policy.Judge
	// Remembers: the wish needs the account's baseline and history.
	Remembers bool
	// CatchesUp: unnoticed changes are recorded first, so that they can be restored later.
	CatchesUp bool
	// LetsIn: the account should be able to log in afterwards.
	LetsIn bool
	// Forgives: the failure counter is cleared too.
	Forgives bool
	// DropsFactor: the second factor is reset too.
	DropsFactor bool
}

// Person is an account in the state in which a verb finds it.
type Person struct {
	shadowsync.Account
	Memory  shadowsync.AccountMemory
	History []engine.Kept // over all stores
	Hash    string        // of the new password; empty: no new password
}

// Wish is the change that a verb makes to an account.
type Wish struct {
	shadowsync.Credential
	Fields    shadowsync.Fields
	StoreHash string // empty: the one made for the new password, or the OS's own
	Holder    string // of whose store StoreHash is; empty: the first one's
}

// Job is one target in progress.
type Job struct {
	Target
	Application string
	Before      Person // its state when the work began
	Secret      []byte // generated; wiped after it was reported
	Fate        Fate
	hash        string            // of the new password, for the OS
	storeHashes map[string]string // by holder, for stores that do not accept that hash
}

// Fate is the result for one account.
type Fate struct {
	Done bool  // the OS side holds the change, durably
	Err  error // why it is not done
	// Outcomes are those in the stores of the application, and Outcome is the most urgent of them.
	Outcomes []engine.Settled
	Outcome  shadowsync.Outcome
	Fault    *shadowsync.StoreFault
	// Barriers are what still prevents a login with the new password.
	Barriers []barrier.Barrier
	Sharing  []string // accounts with the same uid, and so the same sessions
	Factor   FactorFate
}

// FactorFate is what became of the account's second factor, where the verb resets it.
type FactorFate struct {
	Code string // the enrolment code; empty: there was no factor to reset
	Err  error  // the factor is as it was, although the credential is set
}

// Ledger is told of everything that a run does. Its methods are called one after the other, except
// Prepared.
type Ledger interface {
	// Begin is called first, with how many accounts have slow work to come.
	Begin(accounts int)
	// Prepared is called after each one's slow work, by several goroutines.
	Prepared()
	// Room returns why the new passwords of these jobs could not be shown. It is called before they
	// are set.
	Room(jobs []*Job) error
	// Add reports results, as soon as they are durable.
	Add(jobs []*Job)
	// Stuck reports whether to stop because new passwords could not be shown.
	Stuck() bool
	// Note takes an error that is not one account's.
	Note(err error)
	// Finish is called last, with the jobs that were not reached.
	Finish(rest []*Job)
}
