package broker

import (
	"sync"
	"time"
)

const (
	// freeTries may fail before there is a delay.
	freeTries = 5
	// firstDelay doubles with each further failure, up to lastDelay.
	firstDelay = 5 * time.Second
	lastDelay  = 15 * time.Minute
	// forgetTries is after how long without one failures are forgotten.
	forgetTries = time.Hour
	// triesKept bounds the memory for failures.
	triesKept = 4096
)

// tries counts failures, so that guessing slows down whatever the PAM stack does about it.
type tries struct {
	mu     sync.Mutex
	failed map[string]failures
}

type failures struct {
	count  int
	last   time.Time
	unsaid int // attempts that due kept quiet about, since the last
}

// wait is how long nothing is taken from name.
func (t *tries) wait(name string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.failed[name]
	if f.count < freeTries || now.Sub(f.last) > forgetTries {
		return 0
	}
	delay := min(firstDelay<<min(f.count-freeTries, 16), lastDelay)
	return max(0, delay-now.Sub(f.last))
}

// fail counts one.
func (t *tries) fail(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = map[string]failures{}
	}
	if len(t.failed) >= triesKept {
		for other, f := range t.failed {
			if now.Sub(f.last) > lastDelay {
				delete(t.failed, other)
			}
		}
	}
	f := t.failed[name]
	if now.Sub(f.last) > forgetTries {
		f.count = 0
	}
	t.failed[name] = failures{count: f.count + 1, last: now}
}

// due counts an attempt that is to be told of unless too many were lately, and returns how
// many were not since the last that was.
func (t *tries) due(name string, now time.Time) (unsaid int, due bool) {
	if t.wait(name, now) > 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		f := t.failed[name]
		f.unsaid++
		t.failed[name] = f
		return 0, false
	}
	t.mu.Lock()
	unsaid = t.failed[name].unsaid
	t.mu.Unlock()
	t.fail(name, now)
	return unsaid, true
}

// forgive forgets name's failures.
func (t *tries) forgive(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failed, name)
}
