package keeper

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// SettleWithin bounds the work on an announced change. The announcer may wait for less.
const SettleWithin = 30 * time.Second

// Changed handles a change that PAM announced. It returns the outcome by the time that ctx ends,
// and whether the change is recorded. The work goes on after ctx: an announcement is not lost if
// another process holds the lock at that time.
func (k *Keeper) Changed(ctx context.Context, change shadowsync.Change) (o shadowsync.Outcome, recorded bool) {
	settled := make(chan shadowsync.Outcome, 1)
	var announced atomic.Bool
	k.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SettleWithin)
		defer cancel()
		k.settle(ctx, change, &announced, func(o shadowsync.Outcome) { settled <- o })
	})
	select {
	case o := <-settled:
		return o, announced.Load()
	case <-ctx.Done():
		return shadowsync.Outcome{Account: change.Account, State: shadowsync.Queued}, announced.Load()
	}
}

// settle announces a change, sets announced, and reconciles. It answers once, as soon as the outcome
// is certain.
func (k *Keeper) settle(ctx context.Context, change shadowsync.Change, announced *atomic.Bool, answer func(shadowsync.Outcome)) {
	end := k.Begin()
	defer end()
	defer k.Finish(ctx)
	outcome := shadowsync.Outcome{Account: change.Account, State: shadowsync.Queued}
	settled, err := k.engine().Reconciler(k.application.Name).Announce(ctx, change)
	announced.Store(err == nil)
	if !settled && len(k.engine().Holders(k.application.Name)) > 1 {
		// Before the reconcile, which holds the engine lock: the other stores' do not wait for a store
		// that hangs.
		k.engine().Rouse(ctx, k.application.Name)
	}
	if settled && err == nil {
		outcome.State, outcome.Verdict = shadowsync.InSync, shadowsync.VerdictAdopt
		answer(outcome)
		return
	}
	after := func() error { return nil }
	if err == nil {
		var report shadowsync.Report
		report, after, err = k.engine().ReconcileFirst(ctx, k.application.Name, Noticed)
		if o, ok := report.For(change.Account); ok {
			outcome = o
		}
		if unfinished(report) {
			k.Tell(Noticed)
		}
	}
	answer(outcome)
	k.lend(shadowsync.Report{Outcomes: []shadowsync.Outcome{outcome}})
	if err = errors.Join(err, after()); err != nil {
		k.log.Error("a change could not be settled", "account", change.Account, "error", err)
		k.fail(err)
		k.Tell(Noticed)
	}
}
