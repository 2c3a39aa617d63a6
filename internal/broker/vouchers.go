package broker

import (
	"sync"
	"time"
)

// vouchedFor is how long a judgement vouches for the change that follows it: PAM stores
// the password and announces it, which takes as long as the hash of a password.
const vouchedFor = 10 * time.Second

// vouchers are the accounts whose new password was held to the rules a moment ago.
type vouchers struct {
	mu   sync.Mutex
	open map[string]voucher // no more than there are managed accounts
}

type voucher struct {
	pid int // that changes the password; 0: a worker of ours
	at  time.Time
}

func (v *vouchers) give(account string, pid int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open == nil {
		v.open = map[string]voucher{}
	}
	v.open[account] = voucher{pid, time.Now()}
}

// holds tells whether there is one for an account, whoever changes its password.
func (v *vouchers) holds(account string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return time.Since(v.open[account].at) < vouchedFor
}

// take tells whether there is one for the change that a process made: it is good for no other.
func (v *vouchers) take(account string, pid int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.open[account]
	delete(v.open, account)
	return time.Since(one.at) < vouchedFor && one.pid == pid
}
