package broker

import (
	"context"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/pamworker"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// spareFor is how long the shell that made a change may outlive the account's other
// sessions, however slow the answer is that it waits for.
const spareFor = 5 * time.Second

// askWithin is how long the shell has whose broker died in the middle of its change to ask
// the next one what came of it. It asks as soon as there is one.
const askWithin = time.Second

// dialogues are the password changes of operators under way, one an account. They
// stand before the end of sessions: the shell that made the change ends last, after
// it was answered. Nobody else's end waits for that, and no other change spares it.
type dialogues struct {
	ender
	again func(account string) // has the ends of an account's sessions that are due tried again

	mu     sync.Mutex
	open   map[string]*dialogue
	parted map[int64][]shadowsync.Session // what ended before the shell that ends last, by logout
}

// ender ends sessions; sessions.Sessions does.
type ender interface {
	shadowsync.Sessions
	EndBut(ctx context.Context, account shadowsync.Account, keep sessions.Keep) (ended, survivors []shadowsync.Session, err error)
}

// dialogue is one of them.
type dialogue struct {
	process origin.Process            // the operator's shell
	orphan  bool                      // begun under an earlier broker, whose worker may still be at it
	ended   chan []shadowsync.Session // survivors, once the other sessions were ended

	next  *pamworker.Worker // started ahead
	doors <-chan []string   // ways in that stay open

	// Of the end of its own shell, guarded by the mutex of all dialogues.
	spared *time.Timer // runs out when the shell has been spared for long enough
	lapsed bool
}

func newDialogue(process origin.Process) *dialogue {
	return &dialogue{process: process, ended: make(chan []shadowsync.Session, 1)}
}

// begin makes a dialogue the account's, unless that has one. Only from then on can it
// change anything. One that merely asks what came of a change gives way.
func (d *dialogues) begin(account string, one *dialogue) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open = map[string]*dialogue{}
	}
	if other := d.open[account]; other != nil && (one.orphan || !other.orphan) {
		return false
	}
	d.open[account] = one
	return true
}

// end closes a dialogue, if it ever began: its shell ends like all others.
func (d *dialogues) end(account string, one *dialogue) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[account] != one {
		return
	}
	delete(d.open, account)
	if one.spared != nil && one.spared.Stop() {
		d.again(account)
	}
}

// End ends an account's sessions. The shell whose own change this is stays until it was
// answered: the end is due until then, so that a broker that dies in between finds it.
func (d *dialogues) End(ctx context.Context, account shadowsync.Account, l shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	one := d.sparing(account.Name, l)
	if one == nil && d.orphaned(account.Name, l) {
		return nil, nil, shadowsync.ErrNotYet
	}
	if one == nil {
		ended, survivors, err = d.ender.End(ctx, account, l)
		return d.all(l, ended, err), survivors, err
	}
	ended, survivors, err = d.EndBut(ctx, account, sessions.Keep{Session: l.Keep, Process: one.process})
	if err != nil {
		return ended, survivors, err
	}
	d.part(account.Name, one, l, ended)
	select {
	case one.ended <- survivors:
	default: // it knows of an earlier end
	}
	return ended, survivors, shadowsync.ErrNotYet
}

// sparing is the dialogue that made the change, while its shell is not to end: what
// anybody else changed meanwhile ends it at once.
func (d *dialogues) sparing(account string, l shadowsync.Logout) *dialogue {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.open[account]
	if one == nil || one.lapsed || !one.made(l.Origin) {
		return nil
	}
	return one
}

// made tells whether a change is the dialogue's own: its shell's, or, where that is led on
// by a new broker, announced from a worker of an earlier one.
func (d *dialogue) made(by shadowsync.Origin) bool {
	return by.SeenBy == shadowsync.SeenByPcli && (by.PID == d.process.PID || d.orphan && pamworker.IsUnit(by.Unit))
}

// orphaned tells whether an earlier broker led the dialogue of a change, and the shell may
// yet ask what came of it: once, for a moment.
func (d *dialogues) orphaned(account string, l shadowsync.Logout) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := newDialogue(origin.Process{PID: l.Origin.PID})
	asked.orphan = true
	_, known := d.parted[l.ID]
	if known || d.open[account] != nil || l.Origin.By != account || !asked.made(l.Origin) {
		return false
	}
	d.remember(l, nil)
	time.AfterFunc(askWithin, func() { d.again(account) })
	return true
}

// remember notes what ended for a logout that is still due.
func (d *dialogues) remember(l shadowsync.Logout, ended []shadowsync.Session) {
	if d.parted == nil {
		d.parted = map[int64][]shadowsync.Session{}
	}
	d.parted[l.ID] = append(d.parted[l.ID], ended...)
}

// part notes what ended before the dialogue's shell, and sees to it that this ends too:
// with the dialogue, or when its time is up.
func (d *dialogues) part(account string, one *dialogue, l shadowsync.Logout, ended []shadowsync.Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remember(l, ended)
	switch {
	case d.open[account] != one:
		d.again(account) // answered while the others ended
	case one.spared == nil:
		one.spared = time.AfterFunc(spareFor, func() { d.lapse(account, one) })
	}
}

func (d *dialogues) lapse(account string, one *dialogue) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one.lapsed = true
	d.again(account)
}

// all are the sessions that one logout ended, the last ones included.
func (d *dialogues) all(l shadowsync.Logout, last []shadowsync.Session, err error) []shadowsync.Session {
	d.mu.Lock()
	defer d.mu.Unlock()
	ended := append(d.parted[l.ID], last...)
	if err == nil {
		delete(d.parted, l.ID)
	}
	return ended
}
