package shadowsync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// SetReport is the result of Set.
type SetReport struct {
	Report
	// Unwritten is about the OS side. It is nil, and not only empty, if Set failed before it wrote
	// anything.
	Unwritten Unwritten
}

// Set makes changes on behalf of our tools: it journals them, writes the OS side in one
// replacement, and reconciles. Each change names the account, the wanted OS value (and the store's
// hash for it, if known) and the origin.
func (r *Reconciler) Set(ctx context.Context, changes []Change, req Request) (s SetReport, err error) {
	if s.Unwritten, err = r.setOS(ctx, changes); err != nil {
		return SetReport{}, fmt.Errorf("cannot set the OS side: %w", err)
	}
	req.Force = true
	s.Report, err = r.Reconcile(ctx, req)
	return s, err
}

func (r *Reconciler) setOS(ctx context.Context, changes []Change) (Unwritten, error) {
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
	memory, err := r.State.Survey(ctx, r.Application.Name, names)
	if err != nil {
		return nil, err
	}
	known, writes, failed := r.wishes(changes, snapshot)
	if len(known) == 0 {
		return failed, nil
	}
	for i := range known {
		known[i].stand(memory.Accounts[known[i].Account].Open)
	}
	if err := r.journalOver(ctx, known, memory); err != nil {
		return nil, err
	}
	r.probe(StepJournalled)
	if err := lease.Extend(); err != nil {
		return nil, err
	}
	left, err := r.Accounts.Write(ctx, writes)
	if err != nil {
		return nil, errors.Join(err, r.withdraw(ctx, known, memory))
	}
	r.probe(StepOSWritten)
	maps.Copy(failed, left)
	undone := slices.DeleteFunc(known, func(c Change) bool { return left[c.Account] == nil })
	return failed, r.withdraw(ctx, undone, memory)
}

// Follow records changes that Set of another store's reconciler has made on the OS side. Reconcile
// brings them to this store. A value that was replaced meanwhile is not recorded.
func (r *Reconciler) Follow(ctx context.Context, changes []Change) error {
	if err := r.follow(ctx, changes); err != nil {
		return fmt.Errorf("cannot record the change for %s: %w", r.Application.Name, err)
	}
	return nil
}

func (r *Reconciler) follow(ctx context.Context, changes []Change) error {
	lease, err := r.Lock.Acquire(ctx)
	if err != nil {
		return err
	}
	defer lease.Release()
	names := make([]string, len(changes))
	made := slices.Clone(changes)
	for i, c := range changes {
		names[i], made[i].Over = c.Account, ""
	}
	snapshot, err := r.Accounts.Read(ctx, names)
	if err != nil {
		return err
	}
	memory, err := r.State.Survey(ctx, r.Application.Name, names)
	if err != nil {
		return err
	}
	known, _, _ := r.wishes(made, snapshot)
	known = slices.DeleteFunc(known, func(c Change) bool { return !Equal(c.OS, snapshot.Accounts[c.Account].Credential, AllFields) })
	if len(known) == 0 {
		return nil
	}
	for i := range known {
		known[i].stand(memory.Accounts[known[i].Account].Open)
	}
	return r.journalOver(ctx, known, memory)
}

// wishes turns changes into writes against what the OS holds now. Fields that a change does not
// name keep their present value.
func (r *Reconciler) wishes(changes []Change, snapshot OSSnapshot) (known []Change, writes []Write, left Unwritten) {
	left = Unwritten{}
	for _, c := range changes {
		account, ok := snapshot.Accounts[c.Account]
		switch {
		case !ok:
			left[c.Account] = ErrNoAccount
			continue
		case c.Over != "" && c.Over != account.Hash:
			left[c.Account] = ErrChanged
			continue
		}
		if c.Fields != 0 {
			c.OS = account.With(c.OS, c.Fields)
		}
		c.State, c.Verdict, c.Since = Queued, VerdictAdopt, r.Now()
		known = append(known, c)
		writes = append(writes, Write{Name: c.Account, Expect: account.Credential, Want: c.OS})
	}
	return known, writes, left
}

// stand keeps a password announced, by PAM or our tools, if this change of other fields leaves it as
// it is.
func (c *Change) stand(before *Change) {
	if before != nil && before.Vouches() && before.OS.Hash == c.OS.Hash {
		c.Fields = 0
	}
}

// withdraw removes journalled changes that were never made, and restores the open changes before
// them.
func (r *Reconciler) withdraw(ctx context.Context, changes []Change, memory Memory) error {
	if len(changes) == 0 {
		return nil
	}
	transitions := make([]Transition, len(changes))
	for i, c := range changes {
		transitions[i] = Transition{Account: c.Account, Open: memory.Accounts[c.Account].Open, Seen: &c, Events: []Event{{
			At: r.Now(), Application: r.Application.Name, Account: c.Account, Action: "withdrawn", Result: InSync,
			Reason: "the OS side could not be written", Origin: c.Origin,
		}}}
	}
	return r.State.Commit(ctx, r.Application.Name, transitions)
}
