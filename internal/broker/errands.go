package broker

import (
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// errands are the changes that PAM workers make for operators at the moment, by the
// workers' units. What the PAM module announces from inside one is the operator's change:
// the worker's real uid may be root's, who would guard the unit.
type errands struct {
	mu   sync.Mutex
	open map[string]*errand
}

// errand is one of them.
type errand struct {
	by shadowsync.Origin

	mu      sync.Mutex
	hash    string // that it set; empty: not known yet
	outcome *shadowsync.Outcome
}

func (e *errands) begin(unit string, by shadowsync.Origin) *errand {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open == nil {
		e.open = map[string]*errand{}
	}
	one := &errand{by: by}
	e.open[unit] = one
	return one
}

func (e *errands) end(unit string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, unit)
}

// of finds the errand of a unit; nil: none of ours.
func (e *errands) of(unit string) *errand {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open[unit]
}

// origin is the operator's, as of now: they may have typed for minutes.
func (e *errand) origin() shadowsync.Origin {
	by := e.by
	by.At = time.Now()
	return by
}

// found notes which hash the OS holds after the change, and tells whether that is the one
// found first: another is somebody else's.
func (e *errand) found(hash string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hash == "" {
		e.hash = hash
	}
	return e.hash == hash
}

func (e *errand) settle(o shadowsync.Outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.outcome = &o
}

// result is the hash that was set, and what became of it; nil: nobody announced it.
func (e *errand) result() (hash string, outcome *shadowsync.Outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.hash, e.outcome
}
