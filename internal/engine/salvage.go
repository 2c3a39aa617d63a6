package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// salvage takes over, from a damaged state that was moved aside, the changes that waited for a
// store: passwd promised that the store would have them before the next start. If the OS no longer
// holds a change's password, that password goes to the history.
func (e *Engine) salvage(ctx context.Context, aside string) error {
	for application, found := range state.Salvage(ctx, aside) {
		if r := e.reconcilers[application]; r != nil {
			if err := e.takeOver(ctx, r, found); err != nil {
				return err
			}
		}
	}
	return errors.Join(e.salvageFactors(ctx, aside), e.salvageSetup(ctx, aside))
}

// salvageFactors takes over the second factors: otherwise whoever had one would get in without a code.
func (e *Engine) salvageFactors(ctx context.Context, aside string) error {
	found := state.SalvageFactors(ctx, aside)
	if len(found) == 0 {
		return nil
	}
	return e.State.TakeFactors(ctx, found)
}

// salvageSetup takes over the list of files that remove must restore, and the holds.
func (e *Engine) salvageSetup(ctx context.Context, aside string) error {
	files, held := state.SalvageSetup(ctx, aside)
	now, err := e.State.Manifest(ctx)
	if err == nil && len(now) == 0 && len(files) > 0 {
		err = e.State.SetManifest(ctx, files)
	}
	for _, application := range held {
		if e.reconcilers[application] != nil {
			err = errors.Join(err, e.State.SetHeld(ctx, application, true))
		}
	}
	return err
}

func (e *Engine) takeOver(ctx context.Context, r *shadowsync.Reconciler, found map[string]shadowsync.AccountMemory) error {
	var names []string
	for _, name := range r.Application.Accounts {
		if _, ok := found[name]; ok {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	lease, err := e.lock.Acquire(ctx)
	if err != nil {
		return err
	}
	defer lease.Release()
	memory, err := e.State.Load(ctx, r.Application.Name, names)
	if err != nil {
		return err
	}
	snapshot, err := e.Accounts.Read(ctx, names)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { // another process was faster
		m := memory.Accounts[name]
		return m.Open != nil || m.Baseline != nil
	})
	transitions := make([]shadowsync.Transition, len(names))
	for i, name := range names {
		transitions[i] = takenOver(r.Application.Name, r.Store.Capabilities().Opaque(), found[name], snapshot.Accounts[name])
	}
	return e.State.Commit(ctx, r.Application.Name, transitions)
}

func takenOver(application string, opaque bool, was shadowsync.AccountMemory, now shadowsync.Account) shadowsync.Transition {
	c := was.Open
	t := shadowsync.Transition{Account: c.Account}
	event := shadowsync.Event{
		At: time.Now(), Application: application, Account: c.Account, Action: "salvaged", Origin: c.Origin,
		Result: c.State, Reason: "the change waited in the damaged state, and is continued",
	}
	if now.Hash == c.OS.Hash {
		t.Open, t.Baseline = c, was.Baseline
	} else {
		lost := shadowsync.Baseline{OS: c.OS, Store: c.OS}
		if lost.Store.Hash = c.StoreHash; !opaque {
			lost.Store.Hash = cmp.Or(c.StoreHash, c.OS.Hash)
		}
		t.Displaced = []shadowsync.Entry{{Baseline: lost, Origin: c.Origin, Replaced: time.Now(), Lost: true}}
		event.Result, event.Reason = shadowsync.Conflict, "the change waited in the damaged state; the OS holds another password, and this one is in the history"
	}
	t.Events = []shadowsync.Event{event}
	return t
}
