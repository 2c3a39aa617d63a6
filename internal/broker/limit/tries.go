// Package limit slows down what must not be done too often: guessing, and requests that cost much.
//
//	tries.go   delays after failures
//	budget.go  so many actions at once, and one more each period
//	guesses.go both, for codes of second factors
package limit

import (
	"maps"
	"strings"
	"sync"
	"time"
)

const (
	// Free is how many may fail before there is a delay.
	Free = 5
	// FirstDelay is the first delay. It doubles with each further failure, up to lastDelay.
	FirstDelay = 5 * time.Second
	lastDelay  = 15 * time.Minute
	// Forget is how long after the last failure all are forgotten.
	Forget = time.Hour
	// triesKept bounds the number of remembered names.
	triesKept = 4096
)

// Tries counts failures, so that guessing slows down whatever the PAM stack does.
type Tries struct {
	mu     sync.Mutex
	failed map[string]failures
}

type failures struct {
	count  int
	last   time.Time
	unsaid int // attempts not reported since the last reported one
}

// Wait is how long nothing is accepted from name.
func (t *Tries) Wait(name string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wait(name, now)
}

func (t *Tries) wait(name string, now time.Time) time.Duration {
	f := t.failed[name]
	if f.count < Free || now.Sub(f.last) > Forget {
		return 0
	}
	delay := min(FirstDelay<<min(f.count-Free, 16), lastDelay)
	return max(0, delay-now.Sub(f.last))
}

// Fail counts one failure.
func (t *Tries) Fail(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fail(name, now)
}

func (t *Tries) fail(name string, now time.Time) {
	if t.failed == nil {
		t.failed = map[string]failures{}
	}
	f, known := t.failed[name]
	if !known && len(t.failed) >= triesKept {
		t.makeRoom(now)
	}
	if now.Sub(f.last) > Forget {
		f.count = 0
	}
	t.failed[name] = failures{count: f.count + 1, last: now}
}

// makeRoom forgets whoever is not delayed any more, or else whoever failed longest ago.
func (t *Tries) makeRoom(now time.Time) {
	oldest, last := "", now
	for other, f := range t.failed {
		if now.Sub(f.last) > lastDelay {
			delete(t.failed, other)
		} else if !f.last.After(last) {
			oldest, last = other, f.last
		}
	}
	if len(t.failed) >= triesKept {
		delete(t.failed, oldest)
	}
}

// Due counts an attempt and reports whether to report it: not after too many lately. With true it
// also returns how many were not reported since the last reported one.
func (t *Tries) Due(name string, now time.Time) (unsaid int, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.failed[name]; t.wait(name, now) > 0 {
		f.unsaid++
		t.failed[name] = f
		return 0, false
	}
	unsaid = t.failed[name].unsaid
	t.fail(name, now)
	return unsaid, true
}

// Begin counts an attempt as a failure until Spare takes it back, so that parallel attempts count
// too. With a wait it counts nothing: the attempt must not be made.
func (t *Tries) Begin(name string, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wait = t.wait(name, now); wait == 0 {
		t.fail(name, now)
	}
	return wait
}

// Spare takes one failure back.
func (t *Tries) Spare(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f, there := t.failed[name]; there {
		f.count = max(0, f.count-1)
		t.failed[name] = f
	}
}

// Forgive forgets the failures of name.
func (t *Tries) Forgive(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failed, name)
}

// ForgiveAll forgets the failures of every name that begins so.
func (t *Tries) ForgiveAll(prefix string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.failed, func(name string, _ failures) bool { return strings.HasPrefix(name, prefix) })
}
