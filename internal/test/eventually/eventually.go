// Package eventually waits in tests for what nothing announces: another process's state, a file
// that somebody else writes, a goroutine that is about to wait. What can be announced, by a channel,
// a pipe or an exit, is better waited for there; what goes by time, in testing/synctest.
package eventually

import "time"

const (
	// patience is long, because a busy machine must not fail a test. Only a failure takes that long.
	patience = 2 * time.Minute
	// The pauses between two looks grow, so that a look that starts a program leaves the processors
	// to what it waits for.
	shortest = time.Millisecond
	longest  = 50 * time.Millisecond
)

// TB is what it needs of a testing.TB; the demo, which is no test, has one too.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Holds returns as soon as cond does, and fails the test at once if it has not within two minutes;
// what names it. cond is called by the caller's goroutine, at least once.
func Holds(t TB, what string, cond func() bool) {
	t.Helper()
	Within(t, patience, what, cond)
}

// Within is Holds where how long it may take is part of the promise.
func Within(t TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(limit)
	for pause := shortest; !cond(); pause = min(2*pause, longest) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(pause)
	}
}
