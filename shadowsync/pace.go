package shadowsync

import (
	"fmt"
	"sync"
	"time"
)

// Limits for changes that an application's store makes by itself, per account: atOnce changes
// without delay, then more and more slowly, down to one per slowest. Each such change costs an
// audit record and a replacement of /etc/shadow.
const (
	atOnce       = 30
	firstSpacing = time.Second
	slowest      = time.Minute
	// slowestBack applies to a value that the application wrote over a newer one: until that is
	// repaired, the old password opens the application.
	slowestBack = 5 * time.Second
	// forgiven is the time without a change after which one more may come without delay.
	forgiven = time.Minute
	// fullLevel is the level at which the delay has reached slowest.
	fullLevel = atOnce + 6
)

// Pace delays the changes that an application's store makes by itself. A delayed change is neither
// written nor recorded; when it is due, the state at that time is dealt with. Pace is for a process
// that looks again later; a process that looks once must take everything at once. The zero value is
// ready.
type Pace struct {
	mu       sync.Mutex
	accounts map[string]*spacing // of the application's accounts at most
}

// spacing is the recent activity of one account's store.
type spacing struct {
	level int       // changes dealt with, minus the forgiven ones
	from  time.Time // forgiveness counts from here
	acted time.Time // when the last change was dealt with

	waiting int // distinct values seen since then
	since   time.Time
	value   storeValue // the last of them
}

// storeValue is a store's value for an account, or the reason why there is none.
type storeValue struct {
	Credential
	why string
}

// wait notes the store's present value and returns how long it must be delayed, at most `most`.
func (p *Pace) wait(account string, value storeValue, most time.Duration, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.accounts[account]
	if s == nil {
		s = &spacing{from: now}
		if p.accounts == nil {
			p.accounts = map[string]*spacing{}
		}
		p.accounts[account] = s
	}
	if s.waiting == 0 {
		s.since = now
	}
	if s.waiting == 0 || s.value != value {
		s.waiting, s.value = s.waiting+1, value
	}
	s.forgive(now)
	if s.level < atOnce {
		return 0
	}
	pause := min(firstSpacing<<(s.level-atOnce), most)
	return max(0, pause-now.Sub(s.acted))
}

// forgive lowers the level according to the time that passed. If the clock was set back, no wait
// ends later than it would have ended.
func (s *spacing) forgive(now time.Time) {
	if now.Before(s.acted) {
		s.acted = now
	}
	if now.Before(s.from) {
		s.from = now
	}
	if n := int(now.Sub(s.from) / forgiven); n > 0 {
		s.level, s.from = max(0, s.level-n), s.from.Add(time.Duration(n)*forgiven)
	}
}

// dealt notes that the account's change was dealt with, and counts it if it was recorded. It
// returns for how many changes of the store it stands, and since when.
func (p *Pace) dealt(account string, recorded bool, now time.Time) (changes int, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.accounts[account]
	if s == nil {
		return 0, now
	}
	changes, since = s.waiting, s.since
	s.waiting, s.value = 0, storeValue{}
	if recorded {
		s.level, s.acted = min(s.level+1, fullLevel), now
	}
	return changes, since
}

// space delays changes that came from the store alone and too fast.
func (r *Reconciler) space(items []*item) {
	if r.Pace == nil {
		return
	}
	now := r.Now()
	for _, it := range items {
		if it.led = it.storeLed(); !it.led {
			continue
		}
		most := slowest
		if it.decision.WroteBack {
			most = slowestBack
		}
		it.due = r.Pace.wait(it.name, it.storeValue(), most, now)
		it.later = it.due > 0
	}
}

// spaced adds a note to the event of a change that stands for several.
func (r *Reconciler) spaced(it *item, now time.Time, t *Transition) {
	if !it.led {
		return
	}
	n, since := r.Pace.dealt(it.name, it.newsworthy(), now)
	if n < 2 || len(t.Events) == 0 {
		return
	}
	note := fmt.Sprintf("stands for %d changes of the store since %s", n, since.UTC().Format(time.RFC3339))
	if e := &t.Events[0]; e.Reason == "" {
		e.Reason = note
	} else {
		e.Reason += "; " + note
	}
}

func (it *item) storeValue() storeValue {
	v := storeValue{why: it.in.Refusal}
	if it.in.Store != nil {
		v.Credential = *it.in.Store
	}
	if it.in.Fault != nil {
		v.why = it.in.Fault.Reason
	}
	return v
}

// storeLed reports whether the store alone caused what is to be written or recorded: the OS side
// holds what it held, and no announced change waits.
func (it *item) storeLed() bool {
	in, o := it.in, it.in.Open
	switch {
	case in.OS == nil, it.successor, in.Evidence.Prefer != Neither, it.settled(), !it.newsworthy() && !it.writes():
		return false
	case o != nil && o.State == Queued && o.Origin.SeenBy.Announced():
		return false
	case in.Baseline == nil, it.movedOS(), o != nil && o.Verdict != VerdictApply && !Equal(o.OS, in.Baseline.OS, AllFields):
		return it.turns()
	}
	return true
}

// turns reports whether an open change of the OS side still waits, but for another reason than
// before. A store that writes junk gives one reason after another.
func (it *item) turns() bool {
	o := it.in.Open
	return o != nil && o.State != Queued && it.decision.Verdict.State() != InSync && !it.writes() && Equal(*it.in.OS, o.OS, AllFields)
}
