package broker

import "sync"

// busy are accounts that something is being done for, one thing each.
type busy struct {
	mu      sync.Mutex
	working map[string]bool
}

// begin takes an account, unless it is taken, or as many others as most.
func (b *busy) begin(account string, most int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.working[account] || len(b.working) >= most {
		return false
	}
	if b.working == nil {
		b.working = map[string]bool{}
	}
	b.working[account] = true
	return true
}

// end gives it back.
func (b *busy) end(account string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.working, account)
}
