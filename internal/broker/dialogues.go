package broker

import (
	"context"
	"sync"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/pamworker"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// dialogues are the password changes of operators under way, one an account. They
// stand before the end of sessions: the shell that made the change ends last, after
// it was answered.
type dialogues struct {
	sessions.Sessions
	mu   sync.Mutex
	open map[string]*dialogue
}

// dialogue is one of them.
type dialogue struct {
	process  origin.Process            // the operator's shell
	ended    chan []shadowsync.Session // survivors, once the other sessions were ended
	answered chan struct{}             // closed when the shell may end too

	next  *pamworker.Worker // started ahead
	doors <-chan []string   // ways in that stay open
}

// begin opens a dialogue, unless the account has one.
func (d *dialogues) begin(account string, process origin.Process) (*dialogue, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open = map[string]*dialogue{}
	}
	if d.open[account] != nil {
		return nil, false
	}
	one := &dialogue{process: process, ended: make(chan []shadowsync.Session, 1), answered: make(chan struct{})}
	d.open[account] = one
	return one, true
}

// end closes a dialogue: whatever waits for its answer goes on.
func (d *dialogues) end(account string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.open[account].answered)
	delete(d.open, account)
}

func (d *dialogues) of(account string) *dialogue {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[account]
}

// End ends an account's sessions; those of a dialogue when that was answered. A
// broker that dies in between finds the end still due.
func (d *dialogues) End(ctx context.Context, account shadowsync.Account, keep string) (ended, survivors []shadowsync.Session, err error) {
	one := d.of(account.Name)
	if one == nil {
		return d.Sessions.End(ctx, account, keep)
	}
	ended, survivors, err = d.EndBut(ctx, account, sessions.Keep{Session: keep, Process: one.process})
	if err != nil {
		return ended, survivors, err
	}
	select {
	case one.ended <- survivors:
	default: // it knows of an earlier end
	}
	select {
	case <-one.answered:
	case <-ctx.Done():
	}
	last, survivors, err := d.Sessions.End(context.WithoutCancel(ctx), account, keep)
	return append(ended, last...), survivors, err
}
