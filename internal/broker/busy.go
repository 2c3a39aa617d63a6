package broker

import "sync"

// busy are the accounts that are being worked on, with one task each.
type busy struct {
	mu      sync.Mutex
	working map[string]bool
}

// begin reserves an account; false if already reserved or at the limit.
func (b *busy) begin(account string, most int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reserve(account, most)
}

// reserve is begin for who holds the lock.
func (b *busy) reserve(account string, most int) bool {
	if b.working[account] || len(b.working) >= most {
		return false
	}
	if b.working == nil {
		b.working = map[string]bool{}
	}
	b.working[account] = true
	return true
}

// end releases the account.
func (b *busy) end(account string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.working, account)
}
