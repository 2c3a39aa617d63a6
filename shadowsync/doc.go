// Package shadowsync is the domain: what an account's credential is, when two
// sides of it have drifted apart, and what is to be done about it.
//
// An account has an OS side (a line of shadow(5)) and a store side (a record in
// the application's own credential store). Every source of news, be it PAM, a
// watch, a hook or a person, only pulls forward one idempotent function:
//
//	Reconcile: read baseline, OS and store -> Merge (pure) -> plan -> run the plan
//
// Where to look:
//
//	credential.go   Credential, its fields and how two of them compare
//	hash.go         which hash formats a store takes
//	change.go       Change and its Origin: who, which program, when, how it was seen
//	baseline.go     Baseline, the pair last known to belong together, and what is on record
//	merge.go        Merge, the decision, total over its input and free of side effects
//	judge.go        what is an application's old memory, or a rollback, and nobody's wish
//	merger.go       the decision unit by unit
//	ports.go        the interfaces the domain needs from the outside
//	plan.go         what a set of decisions writes, on which side
//	reconcile.go    the one path: read, merge, plan, run
//	run.go          the plan, step by step
//	announce.go     who set a value; the sessions that end then
//	ending.go       which changes end sessions
//	set.go          changes of our own
//	prove.go        what a login gives a store that takes another hash format
//
// The package imports the standard library only and has no side effect of its
// own: files, sockets, databases and systemd are behind the interfaces.
package shadowsync
