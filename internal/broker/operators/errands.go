package operators

import (
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Errands are the changes that PAM workers are making for operators, by the workers' units. A
// change that the PAM module announces from such a unit is the operator's: the worker's real uid
// may be root, and a change by root would guard the unit.
type Errands struct {
	mu   sync.Mutex
	open map[string]*Errand
}

// Errand is one such change.
type Errand struct {
	by shadowsync.Origin

	mu       sync.Mutex
	hash     string           // that the worker set; empty: not known yet
	outcomes []engine.Settled // in each store of the application
}

// Begin notes that a worker, by its unit, makes a change for an operator.
func (e *Errands) Begin(unit string, by shadowsync.Origin) *Errand {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open == nil {
		e.open = map[string]*Errand{}
	}
	one := &Errand{by: by}
	e.open[unit] = one
	return one
}

// End forgets the errand of a unit.
func (e *Errands) End(unit string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, unit)
}

// Of returns the errand of a unit, or nil if the unit has none.
func (e *Errands) Of(unit string) *Errand {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open[unit]
}

// Origin is the operator's, with the present time: they may have typed for minutes.
func (e *Errand) Origin() shadowsync.Origin {
	by := e.by
	by.At = time.Now()
	return by
}

// Found notes the hash that the OS holds after the change, and reports whether it is the one found
// first: any other was set by someone else.
func (e *Errand) Found(hash string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hash == "" {
		e.hash = hash
	}
	return e.hash == hash
}

// Settle notes the outcomes of the change in the stores of the application.
func (e *Errand) Settle(all []engine.Settled) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.outcomes = all
}

// Result returns the hash that was set and its outcomes; none if the change was not announced.
func (e *Errand) Result() (hash string, outcomes []engine.Settled) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.hash, e.outcomes
}
