package main

import (
	"context"
	"errors"

	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
)

// runVerb carries out a verb that needs no password.
func runVerb(ctx context.Context, a *app, v verb, s targetSource) error {
	return a.with(ctx, func(e *engine.Engine) error { return a.carryOut(ctx, e, v, s) })
}

// carryOut reads the targets and carries a verb out on them.
func (a *app) carryOut(ctx context.Context, e *engine.Engine, v verb, s targetSource) error {
	targets, list, err := a.targets(ctx, s, v.TakesTokens)
	defer cleartext.Wipe(list)
	r := a.newWork(e, v, s.bulk() || len(s.names) > 1)
	if err != nil {
		return errors.Join(err, r.Unread(ctx, err))
	}
	targets, again := bulk.LastOfEach(targets)
	if again > 0 {
		a.warn("lines left out because a later line names the same account: %d", again)
	}
	return a.run(ctx, r, targets)
}

// work is a run and the ledger that prints its results.
type work struct {
	*bulk.Run
	ledger *ledger
}

func (a *app) newWork(e *engine.Engine, v verb, list bool) work {
	l := newLedger(a, e.Config, v, list)
	return work{bulk.New(v.Verb, bulk.Options{Engine: e, Origin: ourselves(e), Ledger: l, Owned: a.ownedByDirectory(e), BatchTime: a.batchTime, Action: attempted}), l}
}

// run works on all targets, prints what is done, and ends the sessions that old passwords opened.
func (a *app) run(ctx context.Context, w work, targets []bulk.Target) error {
	restore := a.keepOutput(w.ledger.verb.Generates)
	defer restore()
	if w.ledger.verb.Generates {
		survivePipe()
	}
	changed, err := w.Do(ctx, targets)
	if err != nil {
		return err
	}
	var errs []error
	for _, application := range changed {
		errs = append(errs, a.endSessions(context.WithoutCancel(ctx), w.Engine, application))
	}
	return errors.Join(append([]error{w.ledger.close()}, errs...)...)
}
