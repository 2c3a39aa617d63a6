package shadowsync

import (
	"context"
	"errors"
)

// carriedOut is the result of a plan that ran to its end.
type carriedOut struct {
	// fault is a failure of the OS side or of the guard: the other accounts are settled all the same,
	// and all outcomes reported.
	fault error
}

// run carries out a plan. An error means that it stopped half-way.
func (r *Reconciler) run(ctx context.Context, lease Lease, work []*item, v view) (carriedOut, error) {
	if len(work) == 0 {
		return carriedOut{r.guard(ctx, work, v.memory)}, nil
	}
	var fault error
	var back *StoreSnapshot
	steps := []func() error{
		func() error { return r.journal(ctx, work) },
		lease.Extend,
		func() error { fault = r.writeOS(ctx, work); return nil },
		func() error { back = r.persist(ctx, work); return nil },
		lease.Extend, // a store may take its time
		func() error { return r.verify(ctx, work, back) },
		lease.Extend,
		func() error { return r.commit(ctx, work, v.memory) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return carriedOut{}, errors.Join(fault, err)
		}
	}
	return carriedOut{errors.Join(fault, r.guard(ctx, work, v.memory))}, nil
}

func (r *Reconciler) probe(s Step) {
	if r.Probe != nil {
		r.Probe(s)
	}
}

func (r *Reconciler) journal(ctx context.Context, work []*item) error {
	var changes []Change
	writes := false
	for _, it := range work {
		if !it.writes() {
			continue
		}
		c := it.change(r.Now())
		if o := it.in.Open; o != nil && o.State == Pending && c.State == Queued && Equal(o.OS, c.OS, AllFields) {
			c.State, c.Reason = Pending, o.Reason // status must not call it queued while it is tried again
		}
		it.open, writes = &c, true
		// An announced change is journalled already; each write to the journal waits for the disk.
		if it.in.Open == nil || c != *it.in.Open {
			changes = append(changes, c)
		}
	}
	if !writes {
		return nil
	}
	if len(changes) > 0 {
		if err := r.State.Journal(ctx, r.Application.Name, changes); err != nil {
			return err
		}
	}
	r.probe(StepJournalled)
	return nil
}

// writeOS writes the OS side. If that fails for an account, its decision cannot stand: the item is
// dropped and a later round retries it.
func (r *Reconciler) writeOS(ctx context.Context, work []*item) error {
	writes := collect(work, (*item).osWrite)
	if len(writes) == 0 {
		return nil
	}
	failed, err := r.Accounts.Write(ctx, writes)
	for _, it := range work {
		if _, wrote := it.osWrite(); wrote && (err != nil || failed[it.name] != nil) {
			it.dropped = true
		}
	}
	r.probe(StepOSWritten)
	return err
}

// persist writes the store, and returns what it holds then if it could be read in the same call.
func (r *Reconciler) persist(ctx context.Context, work []*item) (back *StoreSnapshot) {
	writes := collect(work, (*item).storeWrite)
	if len(writes) == 0 {
		return nil
	}
	var failed Unwritten
	var err error
	if s, ok := r.Store.(WriteReader); ok {
		failed, back, err = s.WriteRead(ctx, writes)
	} else {
		failed, err = r.Store.Write(ctx, writes)
	}
	for _, it := range work {
		if _, wrote := it.storeWrite(); wrote && !it.dropped {
			it.settleWrite(cmpErr(err, failed[it.name]))
		}
	}
	r.probe(StepPersisted)
	return back
}

func collect(work []*item, write func(*item) (Write, bool)) []Write {
	var out []Write
	for _, it := range work {
		if w, ok := write(it); ok && !it.dropped {
			out = append(out, w)
		}
	}
	return out
}

func cmpErr(whole, single error) error {
	if whole != nil {
		return whole
	}
	return single
}

// settleWrite turns the store's answer for one account into a decision.
func (it *item) settleWrite(err error) {
	var refused *RefusedError
	var waits *NotInForceError
	switch {
	case err == nil:
	case errors.As(err, &waits):
		it.fail(VerdictPending, waits.Error())
	case errors.As(err, &refused):
		it.fail(VerdictRefused, refused.Reason)
	case errors.Is(err, ErrChanged), errors.Is(err, ErrNoAccount):
		it.dropped = true
	case errors.Is(err, ErrMalformed):
		it.fail(VerdictConflict, faultOf(err).Reason)
	default:
		it.fail(VerdictPending, faultOf(err).Reason)
	}
}

// verify reads both sides back, so that only values seen in place are acknowledged. back is what
// persist has read of the store; nil: nothing.
func (r *Reconciler) verify(ctx context.Context, work []*item, back *StoreSnapshot) error {
	var written []string
	for _, it := range work {
		if it.writes() && !it.dropped {
			written = append(written, it.name)
		}
	}
	if len(written) == 0 {
		return nil
	}
	asked := func() (StoreSnapshot, error) { return *back, nil }
	if back == nil {
		asked = startAsking(func() (StoreSnapshot, error) { return r.Store.Read(ctx, written) })
	}
	os, err := r.Accounts.Read(ctx, written)
	store, storeErr := asked()
	if err != nil {
		return err
	}
	for _, it := range work {
		if it.writes() && !it.dropped {
			it.check(os.Accounts[it.name].Credential, store.Accounts[it.name].Credential, storeErr)
		}
	}
	r.probe(StepVerified)
	return nil
}

func (it *item) check(os, store Credential, storeErr error) {
	if it.decision.OS != nil && !Equal(os, *it.decision.OS, AllFields) {
		it.dropped = true
		return
	}
	if _, wrote := it.storeWrite(); !wrote {
		return
	}
	if storeErr != nil {
		it.settleWrite(storeErr)
		return
	}
	it.dropped = !Equal(store, *it.decision.Store, it.in.Fields)
}

func (r *Reconciler) commit(ctx context.Context, work []*item, memory Memory) error {
	now := r.Now()
	var transitions []Transition
	for _, it := range work {
		if it.dropped {
			continue
		}
		t := it.transition(r.Application, memory.Accounts[it.name], now)
		t.Events = append(t.Events, it.alarms(r.Application, memory, now, func(os Credential) bool {
			return r.Beside == nil || r.Beside(ctx, it.name, os)
		})...)
		t.Returned = it.returned()
		if r.unjudged(it) {
			t.Events = append(t.Events, it.exemption(r.Application.Name, now))
		}
		r.spaced(it, now, &t)
		if !t.repeats(it.open, memory.Accounts[it.name]) {
			transitions = append(transitions, t)
		}
	}
	if len(transitions) == 0 {
		return nil
	}
	if err := r.State.Commit(ctx, r.Application.Name, transitions); err != nil {
		return err
	}
	r.probe(StepCommitted)
	return nil
}

// guard sets or lifts the unit's guard, which protects root's changes that the store has not taken.
// It runs in every round: after a crash following the commit, nothing else would lift a stale
// guard.
func (r *Reconciler) guard(ctx context.Context, work []*item, memory Memory) error {
	guards := make(map[string]bool, len(memory.Accounts))
	for name, m := range memory.Accounts {
		guards[name] = m.Guards()
	}
	var anew []string
	for _, it := range work {
		if it.dropped {
			continue
		}
		c := it.change(r.Now())
		guards[it.name] = AccountMemory{Baseline: it.in.Baseline, Open: &c}.Guards()
		if guards[it.name] && c.renews(memory.Accounts[it.name].Open) {
			anew = append(anew, it.name)
		}
	}
	var held []string
	for _, name := range r.Application.Accounts {
		if guards[name] {
			held = append(held, name)
		}
	}
	err := r.Guard.Set(ctx, r.Application.Unit, r.Application.Store, held, anew...)
	r.probe(StepGuarded)
	return err
}

// mark records the revisions at which nothing was left to do.
func (r *Reconciler) mark(ctx context.Context, v view, items []*item) error {
	for _, it := range items {
		if !it.settled() {
			return nil
		}
	}
	if v.fault != nil {
		return nil
	}
	now := Revisions{OS: v.os.Revision, Store: v.store.revision() + v.lent.digest(), Config: r.Application.Revision}
	r.synced.Store(&now)
	if now == v.memory.Synced {
		return nil
	}
	return r.State.Mark(ctx, r.Application.Name, now)
}
