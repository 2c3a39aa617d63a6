// Package keeper keeps one application in sync while the daemon runs: it reconciles whenever there is
// news, and again, with growing pauses, while something is left to do.
//
//	keeper.go  Keeper: news, reconciles, the end of sessions
//	changed.go announced changes
//	group.go   the keepers of one application's stores
//	look.go    when it looks again
//	gate.go    waits until announcements in progress are done
//	record.go  an account's record in the store: can it change, can it come, remove it
package keeper

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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
	// lastRest is the longest pause before news of the store alone brings another attempt.
	lastRest = 5 * time.Second
)

// logoutRetry is the pause before sessions that could not be ended are tried again.
const logoutRetry = 10 * time.Second

// slowLook is how often the keeper looks without any news. This finds what a watch cannot see: a
// store's folder that its owner may not read, writes through mmap(2).
const slowLook = 5 * time.Minute

// poll is how often a store without a watch is asked.
const poll = 30 * time.Second

// Keeper keeps one application in sync: it reconciles whenever there is news, and again, with
// growing pauses, while something is left to do.
type Keeper struct {
	engine      func() *engine.Engine // the present one
	application config.Application
	after       func() // called after each reconcile
	// Failed is called with the error of a reconcile; may be nil.
	Failed func(error)
	// GuardUntil returns when the guard of the application's unit ends by itself; zero: it does
	// not. May be nil.
	GuardUntil func() time.Time
	// Borrowers keep the stores that have this one's values, too. They look after each reconcile that
	// did something.
	Borrowers []*Keeper
	log       *slog.Logger

	work sync.Mutex // one reconcile at a time in this process
	// announcing are the announcements in progress. News waits for them: the watch sees the same
	// changes, but an announcement knows better who made them.
	announcing gate
	busy       atomic.Int64 // when the present reconcile began, in Unix nanoseconds; 0: none

	background sync.WaitGroup // announced changes and session ends in progress
	ending     sync.Mutex     // serialises session ends: two would end and audit the same sessions

	mu   sync.Mutex
	next *shadowsync.Request // what is known about the waiting news
	news chan struct{}
}

// New returns the keeper of an application. It gets the engine anew for each piece of work, and calls
// after when one is done.
func New(engine func() *engine.Engine, a config.Application, after func(), log *slog.Logger) *Keeper {
	return &Keeper{engine: engine, application: a, after: after, log: log.With("application", a.Name), news: make(chan struct{}, 1)}
}

// Noticed is a difference that was not announced; storeNews is news of the store.
var (
	Noticed   = shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByWatch}}
	storeNews = shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStore}}
)

// Tell says that something may have changed. It never waits. News that arrives faster than it is
// handled is merged; facts about the OS side win over the store's.
func (k *Keeper) Tell(req shadowsync.Request) {
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

// Run handles news until ctx ends.
func (k *Keeper) Run(ctx context.Context) { k.run(ctx, k.reconcile) }

func (k *Keeper) run(ctx context.Context, reconcile func(context.Context, shadowsync.Request) (shadowsync.Report, error)) {
	var retry, later <-chan time.Time
	pause, rest := firstRetry, firstRetry
	var req shadowsync.Request
	var rested time.Time // when news of the store may bring another attempt
	slow := time.NewTicker(slowLook)
	defer slow.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.news:
			if wait := time.Until(rested); wait > 0 && k.onlyStoreNews() {
				later = time.After(wait)
				continue
			}
			req, rest = k.latest(), firstRetry
			// Each attempt reopens a failing store and watches it again, which counts as news of
			// the store: that alone must not shorten the pauses between attempts.
			if req.Origin.SeenBy != shadowsync.SeenByStore {
				pause = firstRetry
			}
		case <-slow.C:
			req = Noticed
		case <-retry:
			pause = min(2*pause, lastRetry)
		case <-later:
			req, rest = k.latest(), min(2*rest, lastRest)
		}
		later, rested = nil, time.Time{}
		k.announcing.wait(ctx)
		report, err := reconcile(ctx, req)
		again := err != nil || unfinished(report)
		if again {
			// An attempt at a store may itself be news of it. Attempts on end would keep all other stores
			// from the engine lock.
			rested = time.Now().Add(rest)
		} else {
			pause, rest = firstRetry, firstRetry
		}
		retry = nil
		if wait := k.nextLook(report, again, pause); wait > 0 {
			retry = time.After(wait)
		}
	}
}

// onlyStoreNews reports whether nothing but the store is why the keeper is to look.
func (k *Keeper) onlyStoreNews() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.next != nil && k.next.Origin.SeenBy == shadowsync.SeenByStore
}

// latest takes what is known about the waiting news.
func (k *Keeper) latest() shadowsync.Request {
	k.mu.Lock()
	defer k.mu.Unlock()
	req := Noticed
	if k.next != nil {
		req = *k.next
	}
	k.next = nil
	return req
}

func (k *Keeper) reconcile(ctx context.Context, req shadowsync.Request) (shadowsync.Report, error) {
	end := k.Begin()
	defer end()
	report, err := k.engine().Reconcile(ctx, k.application.Name, req)
	if err != nil {
		k.log.Error("reconcile failed", "error", err)
		k.fail(err)
	}
	k.lend(report)
	k.Finish(ctx)
	return report, err
}

// lend has the borrowers look at what a reconcile has left on record.
func (k *Keeper) lend(report shadowsync.Report) {
	if slices.ContainsFunc(report.Outcomes, func(o shadowsync.Outcome) bool { return o.Verdict != shadowsync.VerdictNothing }) {
		for _, b := range k.Borrowers {
			b.Tell(Noticed)
		}
	}
}

func (k *Keeper) fail(err error) {
	if k.Failed != nil {
		k.Failed(err)
	}
}

// Begin locks the keeper for one reconcile; the result unlocks it.
func (k *Keeper) Begin() func() {
	k.work.Lock()
	k.busy.Store(time.Now().UnixNano())
	return func() {
		k.busy.Store(0)
		k.work.Unlock()
	}
}

// BusySince returns when the present reconcile began; zero: none runs.
func (k *Keeper) BusySince() time.Time {
	if ns := k.busy.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// Announcing keeps other news waiting while an announcement is in progress; the result ends that.
func (k *Keeper) Announcing() (done func()) { return k.announcing.begin() }

// Go does something in the background that belongs to this application.
func (k *Keeper) Go(do func()) { k.background.Go(do) }

// Wait waits for everything that is done in the background.
func (k *Keeper) Wait() { k.background.Wait() }

// Finish ends sessions in the background, after the acknowledgement.
func (k *Keeper) Finish(ctx context.Context) {
	k.background.Go(func() {
		k.ending.Lock()
		defer k.ending.Unlock()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		survivors, err := k.engine().Reconciler(k.application.Name).EndSessions(ctx)
		if err != nil {
			k.log.Error("sessions could not be ended", "error", err)
			time.AfterFunc(logoutRetry, func() { k.Tell(Noticed) })
		}
		for account, left := range survivors {
			if len(left) > 0 {
				k.log.Warn("sessions survived", "account", account, "sessions", len(left))
			}
		}
		k.after()
	})
}

// Follow watches the application's store. It retries a store that cannot be watched, and reconciles
// first when the store is back. A store that cannot tell is asked every poll.
func (k *Keeper) Follow(ctx context.Context) {
	k.follow(ctx, func(ctx context.Context) (<-chan struct{}, error) {
		return k.engine().Reconciler(k.application.Name).Store.Watch(ctx)
	})
}

func (k *Keeper) follow(ctx context.Context, watch func(context.Context) (<-chan struct{}, error)) {
	pause := firstRetry
	for ctx.Err() == nil {
		news, err := watch(ctx)
		wait := pause
		pause = min(2*pause, lastRetry)
		switch {
		case err == nil:
			wait, pause = firstRetry, 2*firstRetry
			k.Tell(storeNews)
			for range news {
				k.Tell(storeNews)
			}
		case errors.Is(err, shadowsync.ErrNoWatch):
			wait, pause = poll, firstRetry
			k.Tell(storeNews)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// Set makes a change of our own on both sides, and returns its outcome.
func (k *Keeper) Set(ctx context.Context, change shadowsync.Change) (shadowsync.Outcome, error) {
	end := k.Begin()
	defer end()
	defer k.Finish(ctx)
	report, err := k.engine().Set(ctx, k.application.Name, []shadowsync.Change{change})
	if err != nil {
		k.fail(err)
	} else {
		err = report.Unwritten[change.Account]
	}
	outcome, _ := report.For(change.Account)
	return outcome, err
}
