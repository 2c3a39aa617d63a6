package limit

import (
	"sync"
	"time"
)

// Budget limits how often a costly action is done for a name: most times at once, and once more
// each period.
type Budget struct {
	Most  int
	Every time.Duration

	mu    sync.Mutex
	spent map[string]time.Time // when a name's whole budget is available again
}

// Spend takes one action for name, or returns how long to wait for the next one.
func (b *Budget) Spend(name string, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent == nil {
		b.spent = map[string]time.Time{}
	}
	for other, back := range b.spent {
		if !back.After(now) {
			delete(b.spent, other)
		}
	}
	back := b.spent[name]
	if !back.After(now) {
		back = now
	}
	if wait := back.Sub(now) - time.Duration(b.Most-1)*b.Every; wait > 0 {
		return wait
	}
	b.spent[name] = back.Add(b.Every)
	return 0
}

// Refund gives an action back that was not one after all.
func (b *Budget) Refund(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if back, spent := b.spent[name]; spent {
		b.spent[name] = back.Add(-b.Every)
	}
}
