// Package shadowsync is the domain: what an account's credential is, when its two sides have
// drifted apart, and what to do about it.
//
// An account has an OS side (a line of shadow(5)) and a store side (a record in the application's
// own credential store). News from PAM, a watch, a hook or a person carries no decision; it only
// makes one idempotent function run sooner:
//
//	Reconcile: read baseline, OS and store -> Merge (pure) -> plan -> run the plan
//
// Where to look:
//
//	credential.go   Credential, its fields and how two of them compare
//	password.go     what a password field means: hash, lock marks, markers
//	hash.go         which hash formats a store takes
//	change.go       Change and its Origin: who, which program, when, how it was seen
//	baseline.go     Baseline, the pair last known to belong together, and an account's history
//	merge.go        Merge, the decision, total over its input and free of side effects
//	whole.go        recognises an application's old memory and an image rollback
//	merger.go       the decision unit by unit
//	first.go        the decision while there is no baseline
//	opaque.go       the decision where the store has a hash scheme of its own
//	lent.go         a store that has the values of another one
//	person.go       whose account it is: a name can be given to another person
//	ports.go        the interfaces the domain needs from the outside
//	plan.go         what a set of decisions writes, on which side
//	displaced.go    the values that a decision replaces, for the history
//	reconcile.go    the one path: read, merge, plan, run
//	unchanged.go    the fast path, when nothing changed
//	view.go         reads both sides and the state, once a round
//	run.go          the plan, step by step
//	announce.go     records who set a value; ends sessions
//	ending.go       which changes end sessions
//	set.go          changes that our own tools make
//	prove.go        gives a store the hash that it needs, once a login provided the clear text
//	protect.go      accounts that their store may not change
//	judged.go       records passwords that no rule has checked
//	pace.go         limits how often a store may change an account by itself
//	alarm.go        warnings that an administrator must look at
//	report.go       Report: the result for each account
//	unit.go         names of units
//
// The package imports the standard library only and has no side effects of its own: files, sockets,
// databases and systemd are behind the interfaces.
package shadowsync
