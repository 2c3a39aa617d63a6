package operators

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/accountworker"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// spareFor is how long the shell that made a change may outlive the account's other sessions, even
// if its answer is slow.
const spareFor = 5 * time.Second

// askWithin is how long a shell whose broker died during its change has to ask the next broker for
// the outcome. It asks as soon as there is one.
const askWithin = time.Second

// Dialogues are the password changes that operators are making. Of those of an account, the newest in
// which everything was shown that is needed goes on: whoever knows the password, and no more, cannot keep its
// owner from changing it by holding a dialogue open. They wrap the end
// of sessions: the shell that made the change ends last, after it got its answer. Other sessions do
// not wait for that, and a change by someone else does not spare the shell.
type Dialogues struct {
	Ender
	Again func(account string) // tries the due session ends of an account again

	altering atomic.Bool // an account is being created, edited or removed

	mu     sync.Mutex
	open   map[string]*dialogue           // the one that may change the account's password
	inside map[string]map[*dialogue]bool  // all that the current password was typed in
	parted map[int64][]shadowsync.Session // sessions that ended before the last shell, by logout
	ends   map[int]int                    // how often the sessions of a uid were ended
}

// Ender ends sessions; sessions.Sessions does.
type Ender interface {
	shadowsync.Sessions
	EndBut(ctx context.Context, account shadowsync.Account, keep sessions.Keep) (ended, survivors []shadowsync.Session, err error)
	ListLeftAlone(ctx context.Context, account shadowsync.Account) ([]sessions.LeftAlone, error)
	Foresee(ctx context.Context)
}

// dialogue is one such change.
type dialogue struct {
	process origin.Process            // the operator's shell
	page    string                    // the session of a page, instead of a shell
	orphan  bool                      // begun under an earlier broker, whose worker may still be running
	ended   chan []shadowsync.Session // survivors, once the other sessions were ended

	next   *pamworker.Worker    // that makes the change: it waits for the new password
	lister *accountworker.Ahead // of doors, started in advance; nil: not started
	hash   string               // of the current password
	yield  func()               // ends it while it waits for something to be typed
	busy   bool                 // it is making the change; guarded by the mutex of Dialogues
	doors  <-chan []string      // ways in that stay open; nil: not asked yet

	// About the end of its own shell; guarded by the mutex of Dialogues.
	spared *time.Timer // fires when the shell has been spared for long enough
	lapsed bool
}

func newDialogue(process origin.Process) *dialogue {
	return &dialogue{process: process, ended: make(chan []shadowsync.Session, 1)}
}

// enter counts a dialogue in which the current password was typed, and reports whether it is the only one
// of the account.
func (d *Dialogues) enter(account string, one *dialogue) (only bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside == nil {
		d.inside = map[string]map[*dialogue]bool{}
	}
	if d.inside[account] == nil {
		d.inside[account] = map[*dialogue]bool{}
	}
	d.inside[account][one] = true
	return len(d.inside[account]) == 1
}

// leave ends what enter began.
func (d *Dialogues) leave(account string, one *dialogue) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if delete(d.inside[account], one); len(d.inside[account]) == 0 {
		delete(d.inside, account)
	}
}

// begin makes one the account's dialogue, in which everything that is needed was shown. Only then can it
// change anything. Another one gives way if it only asks for an outcome, or waits for something to be
// typed; false: it is making a change.
func (d *Dialogues) begin(account string, one *dialogue) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open = map[string]*dialogue{}
	}
	other := d.open[account]
	if other != nil && (one.orphan || other.busy) {
		return false
	}
	if other != nil && other.yield != nil {
		other.yield()
	}
	d.open[account] = one
	return true
}

// hold keeps the account's dialogue from giving way; false: it has done so already.
func (d *Dialogues) hold(account string, one *dialogue) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	one.busy = d.open[account] == one
	return one.busy
}

// release lets it give way again.
func (d *Dialogues) release(one *dialogue) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one.busy = false
}

// count returns of how many accounts there are dialogues.
func (d *Dialogues) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.inside)
}

// InProgress reports whether an operator's password is being changed, or an account created, edited
// or removed.
func (d *Dialogues) InProgress() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.altering.Load() || len(d.inside) > 0 || len(d.open) > 0
}

// end closes a dialogue that has begun: its shell then ends like all others.
func (d *Dialogues) end(account string, one *dialogue) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[account] != one {
		return
	}
	delete(d.open, account)
	if one.spared != nil && one.spared.Stop() {
		d.Again(account)
	}
}

// End ends an account's sessions. The shell that made the change stays until it got its answer; at a page
// nothing needs to stay.
// Until then the end stays due, so that the next broker finds it if this one dies.
func (d *Dialogues) End(ctx context.Context, account shadowsync.Account, l shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	one := d.sparing(account.Name, l)
	if one == nil && d.orphaned(account.Name, l) {
		return nil, nil, shadowsync.ErrNotYet
	}
	if one == nil || one.page != "" {
		ended, survivors, err = d.Ender.End(ctx, account, l)
		if one != nil && err == nil {
			one.tell(survivors)
		}
		return d.all(l, ended, err), survivors, err
	}
	ended, survivors, err = d.EndBut(ctx, account, sessions.Keep{Session: l.Keep, Process: one.process})
	if err != nil {
		return ended, survivors, err
	}
	d.part(account.Name, one, l, ended)
	one.tell(survivors)
	return ended, survivors, shadowsync.ErrNotYet
}

// EndBut ends an account's sessions but those that are kept, and what somebody who is about to sign in has
// proven for one: see endsOf.
func (d *Dialogues) EndBut(ctx context.Context, account shadowsync.Account, keep sessions.Keep) (ended, survivors []shadowsync.Session, err error) {
	d.mu.Lock()
	if d.ends == nil {
		d.ends = map[int]int{}
	}
	d.ends[account.UID]++
	d.mu.Unlock()
	return d.Ender.EndBut(ctx, account, keep)
}

// endsOf counts the ends of a uid's sessions. Whoever notes it before a proof, and finds another number when the
// session is among those that would be ended, has proven a password of before.
func (d *Dialogues) endsOf(uid int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ends[uid]
}

// tell tells the dialogue which other sessions are left.
func (d *dialogue) tell(survivors []shadowsync.Session) {
	select {
	case d.ended <- survivors:
	default: // an earlier end is already reported
	}
}

// sparing returns the dialogue that made the change, as long as its shell is spared. A change by
// someone else ends that shell at once.
func (d *Dialogues) sparing(account string, l shadowsync.Logout) *dialogue {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.open[account]
	if one == nil || one.lapsed || !one.made(l.Origin) {
		return nil
	}
	return one
}

// made reports whether a change is the dialogue's own: made from its shell or, after a restart of
// the broker, announced by a worker of an earlier broker.
func (d *dialogue) made(by shadowsync.Origin) bool {
	if d.page != "" {
		return by.SeenBy == shadowsync.SeenByWeb && by.Session == d.page
	}
	return by.SeenBy == shadowsync.SeenByPcli && (by.PID == d.process.PID || d.orphan && pamworker.IsUnit(by.Unit))
}

// orphaned reports whether an earlier broker led the dialogue of a change and its shell may still
// ask for the outcome. It is true only once for each logout, and then retries after askWithin.
func (d *Dialogues) orphaned(account string, l shadowsync.Logout) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := newDialogue(origin.Process{PID: l.Origin.PID})
	asked.orphan = true
	_, known := d.parted[l.ID]
	if known || d.open[account] != nil || l.Origin.By != account || !asked.made(l.Origin) {
		return false
	}
	d.remember(l, nil)
	time.AfterFunc(askWithin, func() { d.Again(account) })
	return true
}

// remember notes which sessions ended for a logout that is still due.
func (d *Dialogues) remember(l shadowsync.Logout, ended []shadowsync.Session) {
	if d.parted == nil {
		d.parted = map[int64][]shadowsync.Session{}
	}
	d.parted[l.ID] = joined(d.parted[l.ID], ended)
}

// joined returns the sessions of both lists. One that its leader was still closing is in both.
func joined(earlier, more []shadowsync.Session) []shadowsync.Session {
	all := slices.Clone(earlier)
	for _, s := range more {
		if !slices.ContainsFunc(earlier, func(known shadowsync.Session) bool { return known.ID == s.ID }) {
			all = append(all, s)
		}
	}
	return all
}

// part notes which sessions ended before the dialogue's shell, and ensures that the shell ends too:
// with the dialogue, or after spareFor.
func (d *Dialogues) part(account string, one *dialogue, l shadowsync.Logout, ended []shadowsync.Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remember(l, ended)
	switch {
	case d.open[account] != one:
		d.Again(account) // it was answered while the others ended
	case one.spared == nil:
		one.spared = time.AfterFunc(spareFor, func() { d.lapse(account, one) })
	}
}

func (d *Dialogues) lapse(account string, one *dialogue) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one.lapsed = true
	d.Again(account)
}

// all returns the sessions that one logout ended, including the last ones.
func (d *Dialogues) all(l shadowsync.Logout, last []shadowsync.Session, err error) []shadowsync.Session {
	d.mu.Lock()
	defer d.mu.Unlock()
	ended := joined(d.parted[l.ID], last)
	if err == nil {
		delete(d.parted, l.ID)
	}
	return ended
}
