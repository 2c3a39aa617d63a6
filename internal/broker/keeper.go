package broker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The pauses between attempts at a change that the store could not take yet.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// logoutRetry is the pause before sessions that could not be ended are tried again.
const logoutRetry = 10 * time.Second

// slowLook is how often it is looked without any news: what a watch cannot see
// (a store's folder that its owner may not read, writes through mmap(2)) is found then.
const slowLook = 5 * time.Minute

// keeper keeps one application in sync: it reconciles whenever somebody has
// news, and again, with growing pauses, while something is left to do.
type keeper struct {
	engine      atomic.Pointer[engine.Engine]
	application config.Application
	after       func() // called after each reconcile
	log         *slog.Logger

	work sync.Mutex // one reconcile at a time in this process
	// announcing are the announcements under way. News wait for them: what is announced
	// is what the watch sees, with a better word about who did it.
	announcing gate
	busy       atomic.Int64 // when the present one began, in Unix nanoseconds; 0: none

	background sync.WaitGroup // announced changes and session ends under way
	ending     sync.Mutex     // one at a time, or two would end and audit the same

	mu   sync.Mutex
	next *shadowsync.Request // what is known about the news that wait
	news chan struct{}
}

func newKeeper(e *engine.Engine, a config.Application, after func(), log *slog.Logger) *keeper {
	k := &keeper{application: a, after: after, log: log.With("application", a.Name), news: make(chan struct{}, 1)}
	k.engine.Store(e)
	return k
}

// noticed is a difference that nobody announced; storeNews is one of the store.
var (
	noticed   = shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByWatch}}
	storeNews = shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStore}}
)

// tell says that something may have changed. It never waits; news that come
// faster than they are dealt with are dealt with together, and what is known of
// the OS side's is kept over the store's.
func (k *keeper) tell(req shadowsync.Request) {
	k.mu.Lock()
	if k.next == nil || req.Origin.SeenBy != shadowsync.SeenByStore {
		if k.next != nil {
			req.Force = req.Force || k.next.Force
		}
		k.next = &req
	}
	k.mu.Unlock()
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// run deals with news until ctx ends.
func (k *keeper) run(ctx context.Context) {
	var retry <-chan time.Time
	pause := firstRetry
	var req shadowsync.Request
	slow := time.NewTicker(slowLook)
	defer slow.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.news:
			req = k.latest()
			// A store that fails is opened, and so followed, anew by each attempt: that
			// alone must not bring the next one forward for ever.
			if req.Origin.SeenBy != shadowsync.SeenByStore {
				pause = firstRetry
			}
		case <-slow.C:
			req = noticed
		case <-retry:
			pause = min(2*pause, lastRetry)
		}
		k.announcing.wait(ctx)
		if report, err := k.reconcile(ctx, req); err != nil || unfinished(report) {
			retry = time.After(pause)
		} else {
			retry, pause = nil, firstRetry
		}
	}
}

// latest takes what is known about the news.
func (k *keeper) latest() shadowsync.Request {
	k.mu.Lock()
	defer k.mu.Unlock()
	req := noticed
	if k.next != nil {
		req = *k.next
	}
	k.next = nil
	return req
}

// unfinished tells whether trying again by itself may help.
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

func (k *keeper) reconcile(ctx context.Context, req shadowsync.Request) (shadowsync.Report, error) {
	defer k.begin()()
	report, err := k.engine.Load().Reconcile(ctx, k.application.Name, req)
	if err != nil {
		k.log.Error("reconcile failed", "error", err)
	}
	k.finish(ctx)
	return report, err
}

// begin takes the keeper for one reconcile; the result gives it back.
func (k *keeper) begin() func() {
	k.work.Lock()
	k.busy.Store(time.Now().UnixNano())
	return func() {
		k.busy.Store(0)
		k.work.Unlock()
	}
}

// busySince tells when the present reconcile began; zero: there is none.
func (k *keeper) busySince() time.Time {
	if ns := k.busy.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// settleWithin bounds the work on an announced change; the one who announced it
// may wait for less.
const settleWithin = 30 * time.Second

// changed deals with a change that PAM announced, and returns what became of it by
// the time that ctx ends. The work goes on without the one who waits: an
// announcement that comes while another process holds the lock is not lost.
func (k *keeper) changed(ctx context.Context, change shadowsync.Change) shadowsync.Outcome {
	settled := make(chan shadowsync.Outcome, 1)
	k.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
		defer cancel()
		settled <- k.settle(ctx, change)
	})
	select {
	case o := <-settled:
		return o
	case <-ctx.Done():
		return shadowsync.Outcome{Account: change.Account, State: shadowsync.Queued}
	}
}

func (k *keeper) settle(ctx context.Context, change shadowsync.Change) shadowsync.Outcome {
	defer k.begin()()
	defer k.finish(ctx)
	outcome := shadowsync.Outcome{Account: change.Account, State: shadowsync.Queued}
	settled, err := k.engine.Load().Reconciler(k.application.Name).Announce(ctx, change)
	if settled && err == nil {
		outcome.State, outcome.Verdict = shadowsync.InSync, shadowsync.VerdictAdopt
		return outcome
	}
	if err == nil {
		var report shadowsync.Report
		report, err = k.engine.Load().Reconcile(ctx, k.application.Name, noticed)
		if o, ok := report.For(change.Account); ok {
			outcome = o
		}
		if unfinished(report) {
			k.tell(noticed)
		}
	}
	if err != nil {
		k.log.Error("a change could not be settled", "account", change.Account, "error", err)
		k.tell(noticed)
	}
	return outcome
}

// finish does what nobody waits for: sessions end after the acknowledgement.
func (k *keeper) finish(ctx context.Context) {
	k.background.Go(func() {
		k.ending.Lock()
		defer k.ending.Unlock()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		survivors, err := k.engine.Load().Reconciler(k.application.Name).EndSessions(ctx)
		if err != nil {
			k.log.Error("sessions could not be ended", "error", err)
			time.AfterFunc(logoutRetry, func() { k.tell(noticed) })
		}
		for account, left := range survivors {
			if len(left) > 0 {
				k.log.Warn("sessions survived", "account", account, "sessions", len(left))
			}
		}
		k.after()
	})
}

// follow watches the application's store. A store that cannot be watched is
// tried again; when it comes back, it is reconciled first.
func (k *keeper) follow(ctx context.Context) {
	pause := firstRetry
	for ctx.Err() == nil {
		news, err := k.engine.Load().Reconciler(k.application.Name).Store.Watch(ctx)
		if err == nil {
			pause = firstRetry
			k.tell(storeNews)
			for range news {
				k.tell(storeNews)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, lastRetry)
		}
	}
}

// takes tells whether the store could take a change of the account now, by
// writing what it holds over itself.
func (k *keeper) takes(ctx context.Context, account string) error {
	defer k.begin()()
	store := k.engine.Load().Reconciler(k.application.Name).Store
	snapshot, err := store.Read(ctx, []string{account})
	if err != nil {
		return err
	}
	if why, ok := snapshot.Malformed[account]; ok {
		return fmt.Errorf("%s's credential store: %s: %w", k.application.Name, why, shadowsync.ErrMalformed)
	}
	record, there := snapshot.Records[account]
	if !there {
		return fmt.Errorf("%s's credential store does not hold %s: %w", k.application.Name, account, shadowsync.ErrUnavailable)
	}
	refused, err := store.Write(ctx, []shadowsync.Write{{Name: account, Expect: record.Credential, Want: record.Credential}})
	if err != nil {
		return err
	}
	return refused[account]
}

// forget removes the account's record from the store.
func (k *keeper) forget(ctx context.Context, account string) error {
	defer k.begin()()
	store := k.engine.Load().Reconciler(k.application.Name).Store
	snapshot, err := store.Read(ctx, []string{account})
	if err != nil {
		return err
	}
	record, there := snapshot.Records[account]
	if !there {
		return nil
	}
	refused, err := store.Write(ctx, []shadowsync.Write{{Name: account, Expect: record.Credential, Delete: true}})
	if err != nil {
		return err
	}
	return refused[account]
}

// set makes a change of our own on both sides, and returns what became of it.
func (k *keeper) set(ctx context.Context, change shadowsync.Change) (shadowsync.Outcome, error) {
	defer k.begin()()
	defer k.finish(ctx)
	report, failed, err := k.engine.Load().Set(ctx, k.application.Name, []shadowsync.Change{change})
	if err == nil {
		err = failed[change.Account]
	}
	outcome, _ := report.For(change.Account)
	return outcome, err
}
