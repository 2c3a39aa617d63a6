package keeper

import (
	"context"
	"errors"
	"sync"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Group are the keepers of an application's stores, the first store's first.
type Group []*Keeper

// Of returns the keepers of an application's stores. keepers has them by the names of the holders.
func Of(keepers map[string]*Keeper, c *config.Config, a config.Application) Group {
	var g Group
	for _, h := range c.Holders(a) {
		g = append(g, keepers[h.Name])
	}
	return g
}

// each calls do for all keepers at once, and waits.
func (g Group) each(do func(i int, k *Keeper)) {
	if len(g) == 1 {
		do(0, g[0])
		return
	}
	var all sync.WaitGroup
	for i, k := range g {
		all.Go(func() { do(i, k) })
	}
	all.Wait()
}

// Announcing keeps other news waiting, as Keeper.Announcing does.
func (g Group) Announcing() (done func()) {
	var ends []func()
	for _, k := range g {
		ends = append(ends, k.Announcing())
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// Begin locks all keepers for one piece of work; the result unlocks them.
func (g Group) Begin() (done func()) {
	var ends []func()
	for _, k := range g {
		ends = append(ends, k.Begin())
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// Tell says to all that something may have changed.
func (g Group) Tell(req shadowsync.Request) {
	for _, k := range g {
		k.Tell(req)
	}
}

// Changed handles a change that PAM announced, as each store takes it. It returns the outcomes by the
// time that ctx ends, and whether the change is recorded for all stores.
func (g Group) Changed(ctx context.Context, changes []shadowsync.Change) (all []engine.Settled, recorded bool) {
	all = make([]engine.Settled, len(g))
	known := make([]bool, len(g))
	g.each(func(i int, k *Keeper) {
		all[i].Holder = k.application
		all[i].Outcome, known[i] = k.Changed(ctx, changes[i])
	})
	recorded = true
	for _, k := range known {
		recorded = recorded && k
	}
	return all, recorded
}

// Set makes a change of our own on the OS side and in every store, and returns the outcomes.
func (g Group) Set(ctx context.Context, change shadowsync.Change) ([]engine.Settled, error) {
	all := make([]engine.Settled, len(g))
	for i, k := range g {
		all[i] = engine.Settled{Holder: k.application, Outcome: shadowsync.Outcome{Account: change.Account, State: shadowsync.Queued}}
	}
	var err error
	if all[0].Outcome, err = g[0].Set(ctx, change); err != nil {
		return all, err
	}
	g[1:].each(func(i int, k *Keeper) { all[i+1].Outcome = k.join(ctx, change) })
	return all, nil
}

// join takes a change that Set of the first store's keeper has made on the OS side.
func (k *Keeper) join(ctx context.Context, change shadowsync.Change) shadowsync.Outcome {
	e := k.engine()
	e.Rouse(ctx, k.application.Name)
	end := k.Begin()
	defer end()
	report, err := e.Follow(ctx, k.application.Name, []shadowsync.Change{change})
	if err != nil {
		k.log.Error("a change could not be settled", "account", change.Account, "error", err)
		k.fail(err)
	}
	if err != nil || unfinished(report) {
		k.Tell(Noticed)
	}
	outcome, known := report.For(change.Account)
	if !known {
		outcome.State = shadowsync.Queued
	}
	return outcome
}

// Takes returns why a store could not take a change of the account now.
func (g Group) Takes(ctx context.Context, account string) error {
	return g.all(func(k *Keeper) error { return k.Takes(ctx, account) })
}

// Accepts returns why a new account could not be added to a store now, as Keeper.Accepts does.
func (g Group) Accepts(ctx context.Context, account string) error {
	return g.all(func(k *Keeper) error { return k.Accepts(ctx, account) })
}

// all returns the first store's error, else another's.
func (g Group) all(ask func(*Keeper) error) error {
	errs := make([]error, len(g))
	g.each(func(i int, k *Keeper) { errs[i] = ask(k) })
	return errors.Join(errs...)
}
