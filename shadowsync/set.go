package shadowsync

import (
	"context"
	"errors"
	"fmt"
)

// Set makes changes of our own: it puts them on record, writes the OS side in
// one replacement, and reconciles. Each change names the account, the OS value
// wanted (and the store's partner of it, if known) and its origin. The map names
// accounts whose OS side could not be written, and why.
func (r *Reconciler) Set(ctx context.Context, changes []Change, req Request) (Report, map[string]error, error) {
	failed, err := r.setOS(ctx, changes)
	if err != nil {
		return Report{}, nil, fmt.Errorf("cannot set the OS side: %w", err)
	}
	req.Force = true
	report, err := r.Reconcile(ctx, req)
	return report, failed, err
}

func (r *Reconciler) setOS(ctx context.Context, changes []Change) (map[string]error, error) {
	lease, err := r.Lock.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer lease.Release()
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Account
	}
	snapshot, err := r.Accounts.Read(ctx, names)
	if err != nil {
		return nil, err
	}
	missing := map[string]error{}
	var known []Change
	var writes []Write
	for _, c := range changes {
		account, ok := snapshot.Accounts[c.Account]
		if !ok {
			missing[c.Account] = ErrNoAccount
			continue
		}
		c.State, c.Verdict, c.Since = Queued, VerdictAdopt, r.Now()
		known = append(known, c)
		writes = append(writes, Write{Name: c.Account, Expect: account.Credential, Want: c.OS})
	}
	if len(known) == 0 {
		return missing, nil
	}
	if err := r.State.Journal(ctx, r.Application.Name, known); err != nil {
		return nil, err
	}
	r.probe(StepJournalled)
	if err := lease.Extend(); err != nil {
		return nil, err
	}
	failed, err := r.Accounts.Write(ctx, writes)
	if err != nil {
		return nil, errors.Join(err, r.withdraw(ctx, known))
	}
	r.probe(StepOSWritten)
	for name, err := range failed {
		missing[name] = err
	}
	return missing, nil
}

// withdraw takes changes off the record that were never made.
func (r *Reconciler) withdraw(ctx context.Context, changes []Change) error {
	transitions := make([]Transition, len(changes))
	for i, c := range changes {
		transitions[i] = Transition{Account: c.Account, Events: []Event{{
			At: r.Now(), Application: r.Application.Name, Account: c.Account, Action: "withdrawn", Result: InSync,
			Reason: "the OS side could not be written", Origin: c.Origin,
		}}}
	}
	return r.State.Commit(ctx, r.Application.Name, transitions)
}
