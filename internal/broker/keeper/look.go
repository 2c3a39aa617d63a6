package keeper

import (
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// unfinished reports whether another attempt may help without any news.
func unfinished(r shadowsync.Report) bool {
	if r.Fault != nil {
		return true
	}
	for _, o := range r.Outcomes {
		if o.State == shadowsync.Pending || o.State == shadowsync.Queued {
			return true
		}
	}
	return false
}

// guardMargin is how much later than its limit a guard may end: systemd's timer is accurate to a
// second, and systemd then reads its files again.
const guardMargin = 1500 * time.Millisecond

// nextLook is how long to wait for the next look if there is no news: until another attempt, or
// until the guard reaches its limit, so that its end is reported. 0: no look is needed.
func (k *Keeper) nextLook(r shadowsync.Report, again bool, pause time.Duration) (wait time.Duration) {
	if again {
		wait = untilRetry(r, pause)
	}
	if k.GuardUntil == nil {
		return wait
	}
	if until := k.GuardUntil(); !until.IsZero() {
		end := max(time.Until(until)+guardMargin, firstRetry)
		if wait == 0 || end < wait {
			wait = end
		}
	}
	return wait
}

// untilRetry is the pause before the next attempt. It is shorter if a postponed change of the store
// is due earlier.
func untilRetry(r shadowsync.Report, pause time.Duration) time.Duration {
	if r.Due > 0 {
		return min(pause, r.Due)
	}
	return pause
}
