package broker

import (
	"sync"
	"time"
)

// vouchedFor is how long a judgement vouches for the change that follows it: meanwhile PAM stores
// the password and announces it, which takes as long as hashing one.
const vouchedFor = 10 * time.Second

// vouchers are the accounts whose new password was judged a moment ago.
type vouchers struct {
	mu   sync.Mutex
	open map[string]voucher // no more than there are managed accounts
}

type voucher struct {
	pid int // the process that changes the password; 0: a worker of ours
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

// holds reports whether a voucher exists for an account, whichever process changes its password.
func (v *vouchers) holds(account string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return time.Since(v.open[account].at) < vouchedFor
}

// take uses up an account's voucher and reports whether it was for this process's change.
func (v *vouchers) take(account string, pid int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.open[account]
	delete(v.open, account)
	return time.Since(one.at) < vouchedFor && one.pid == pid
}
