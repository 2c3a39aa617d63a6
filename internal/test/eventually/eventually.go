// Package eventually waits in tests for what nothing announces: another process's state, a file
// that somebody else writes, a goroutine that is about to wait. What can be announced, by a channel,
// a pipe or an exit, is better waited for there; what goes by time, in testing/synctest.
package eventually

import "time"

const (
	// patience is long, because a busy machine must not fail a test. Only a failure takes that long.
	patience = 2 * time.Minute
	// The pauses between two looks grow, and are longer where a look takes long: one that starts a
	// program must leave the processors to what it waits for.
	shortest = time.Millisecond
	longest  = 50 * time.Millisecond
	share    = 4                      // a pause is at least so many times as long as the look before it,
	most     = 500 * time.Millisecond // but no longer than this
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
func Within(t TB, patience time.Duration, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for pause := shortest; ; pause = min(2*pause, longest) {
		began := time.Now()
		if cond() {
			return
		}
		now := time.Now()
		if now.After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(min(max(pause, share*now.Sub(began)), most, end.Sub(now)+1)) // the last look is at the end
	}
}
