package shadowsync

import (
	"context"
	"fmt"
)

// Prove records what the store must hold for the OS value of an account that awaits a login: a hash
// that a worker made from the clear text which that login proved, or the store's present value, if
// that clear text fits it. It reports whether the account still awaited it; Reconcile does the rest.
//
// The change keeps its origin and its state, so that it does not count as new: the login that
// carried the clear text must not be ended as a session of the old password.
func (r *Reconciler) Prove(ctx context.Context, account, osHash, storeHash string, login Origin) (bool, error) {
	return r.answerWait(ctx, account, osHash, ChangeState.Awaits, func(c *Change) Event {
		c.StoreHash = storeHash
		e := Event{Action: "proven", Result: c.State, Reason: "a login gave the password, from which the store's hash was made", Origin: login}
		if c.doubts() {
			e.Reason = "a login's password fits the application's new hash"
		}
		return e
	})
}

// Differs records that a login's clear text, which is the OS's password, does not fit the store's
// value: the application has another password. It reports whether that is news.
func (r *Reconciler) Differs(ctx context.Context, account, osHash string, login Origin) (anew bool, err error) {
	return r.answerWait(ctx, account, osHash, func(s ChangeState) bool { return s == Unproven }, func(c *Change) Event {
		reason := reasonChanged
		if c.Reason == reasonFirstPair {
			reason = reasonFirstDiffers
		}
		c.State, c.Verdict, c.Reason = Changed, VerdictChanged, reason
		return Event{Action: string(VerdictChanged), Result: Changed, Reason: c.Reason, Origin: login}
	})
}

// Unfit records that the store can hold no hash of the password that a login proved. No later login
// can help; another password must be chosen. Unfit reports whether the account still awaited the
// login; Reconcile does the rest.
func (r *Reconciler) Unfit(ctx context.Context, account, osHash, reason string, login Origin) (bool, error) {
	return r.answerWait(ctx, account, osHash, func(s ChangeState) bool { return s == NeedsLogin }, func(c *Change) Event {
		c.Verdict, c.Reason = VerdictRefused, reason
		return Event{Action: "proven", Result: NeedsLogin, Reason: "the store cannot take the hash of the password that a login gave: " + reason, Origin: login}
	})
}

// answerWait completes the change of an account that awaits a login in one of these states.
func (r *Reconciler) answerWait(ctx context.Context, account, osHash string, in func(ChangeState) bool, complete func(*Change) Event) (bool, error) {
	lease, err := r.Lock.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot record the login of %s: %w", account, err)
	}
	defer lease.Release()
	memory, err := r.State.Load(ctx, r.Application.Name, []string{account})
	if err != nil {
		return false, fmt.Errorf("cannot record the login of %s: %w", account, err)
	}
	open := memory.Accounts[account].Open
	if open == nil || !in(open.State) || open.OS.Hash != osHash {
		return false, nil
	}
	proven := *open
	event := complete(&proven)
	event.At, event.Application, event.Account = r.Now(), r.Application.Name, account
	if err := r.State.Journal(ctx, r.Application.Name, []Change{proven}); err != nil {
		return false, err
	}
	r.probe(StepJournalled)
	return true, r.State.Audit(ctx, event)
}

// decidedForOS reports whether setup chose the OS side of a first pair, or asked for the account to
// be created in the store, and only a value that the store can take was missing.
func decidedForOS(open *Change) bool {
	return open != nil && (open.Verdict == VerdictNeedsLogin || open.Verdict == VerdictRefused)
}

// keepFirst keeps that choice for changes made before there is a baseline.
func keepFirst(changes []Change, memory Memory) {
	for i, c := range changes {
		if m := memory.Accounts[c.Account]; m.Baseline == nil && decidedForOS(m.Open) && c.Verdict != VerdictRefused {
			changes[i].Verdict = VerdictNeedsLogin
		}
	}
}
