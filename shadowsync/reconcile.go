package shadowsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Application is a systemd unit, its credential store and the accounts it manages.
type Application struct {
	Name  string
	Unit  string
	Store string // the store's name, if it is not the application's first
	// Stores are the names under which all stores of the application are on record.
	Stores []string
	// Lender is the name under which the store is on record whose values this one holds, byte for byte;
	// empty: it has values of its own.
	Lender   string
	Accounts []string
	Policy   Policy
	// Policies replaces Policy for single accounts.
	Policies map[string]Policy
	// TrustStore lets the store change protected accounts too.
	TrustStore bool
	// Changed says what follows if a password was changed in the application; empty: ChangedLeave.
	Changed ChangedRule
	// Judged: there are rules for new passwords, and a password set without a check is recorded.
	Judged bool
	// Settle is for how long after its start the application may write old values back.
	Settle time.Duration
	// Ending says which changes end sessions.
	Ending Ending
	// Revision identifies the configuration that this comes from.
	Revision string
}

func (a Application) policy(account string) Policy {
	if p, ok := a.Policies[account]; ok {
		return p
	}
	return a.Policy
}

// Step is a point in a reconcile at which a crash must be harmless.
type Step string

// The steps, in the order in which a plan runs.
const (
	StepJournalled Step = "journalled" // the changes are recorded, nothing is written
	StepOSWritten  Step = "os-written"
	StepPersisted  Step = "persisted" // the store has written
	StepVerified   Step = "verified"  // both sides were read back
	StepCommitted  Step = "committed" // baseline, record, audit and due logouts moved together
	StepGuarded    Step = "guarded"
	StepLoggedOut  Step = "logged-out"
)

// Steps lists every step, for tests that stop at each.
var Steps = []Step{StepJournalled, StepOSWritten, StepPersisted, StepVerified, StepCommitted, StepGuarded, StepLoggedOut}

// rounds bounds how often a reconcile starts over because a side moved meanwhile.
const rounds = 4

// Reconciler brings OS and store of one application together.
type Reconciler struct {
	Application Application
	Accounts    Accounts
	Store       CredentialStore
	State       State
	Lock        Locker
	Guard       Guard
	Sessions    Sessions
	// Protected says which of the accounts a store may not change, and why; accounts missing in the
	// answer are not protected. For those in held, which a store does not change now, it answers
	// only what it can tell at once. Nil: none is protected.
	Protected func(ctx context.Context, led, held []string) map[string]Protection
	// CheckHash returns why a foreign hash may not reach the OS; nil: it may.
	CheckHash func(hash string) error
	Now       func() time.Time
	// Pace limits what the store changes by itself; nil: each change is dealt with at once.
	Pace *Pace
	// Witness says who wrote the OS side's present content; nil: nothing watched.
	Witness func() (Origin, Writer)
	// Beside reports whether every other store of the application holds what belongs to this OS value
	// of the account. Nil: there is no other.
	Beside func(ctx context.Context, account string, os Credential) bool
	// Vouched reports whether PAM or a tool has just checked the account's new password against the
	// rules and its announcement is on the way; nil: never.
	Vouched func(account string) bool
	// Occupied returns the uids that run any process or have a session of a page, so that logging out thousands of accounts is
	// cheap if nobody is logged in. Nil: all may run something.
	Occupied func() (map[int]bool, error)
	// Probe is called after each step; nil in production.
	Probe func(Step)

	synced atomic.Pointer[Revisions] // the last revisions that this process saw or recorded
}

// Request says why a reconcile runs, and what is known about the circumstances.
type Request struct {
	Origin   Origin // of differences that nobody announced
	Evidence Evidence
	Only     []string // accounts to which Evidence.Prefer applies; empty: all
	// SettledBy is who chose Evidence.Prefer.
	SettledBy string
	Wrote     []string // accounts to which Evidence.Writer applies; empty: all
	First     Side     // the side that wins if there is no baseline
	Create    bool     // create accounts that the store lacks
	DryRun    bool
	Among     []string // the accounts that a dry run looks at; empty: all
	// Force looks at every account even if neither side's revision moved.
	Force bool
}

// Reconcile reads baseline, OS and store, merges, and carries out Merge's decisions step by step.
// It is idempotent: run again after a crash at any point, it finishes the interrupted work.
func (r *Reconciler) Reconcile(ctx context.Context, req Request) (Report, error) {
	var early *earlyRead
	if !req.Force && !req.DryRun {
		var same bool
		if same, early = r.unchanged(ctx); same {
			return Report{Unchanged: true}, nil
		}
	}
	if req.DryRun {
		v, err := r.look(ctx, req.Among, nil)
		if err != nil {
			return Report{}, err
		}
		return v.report(r.mergeAll(ctx, v, req)), nil
	}
	lease, err := r.Lock.Acquire(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("cannot reconcile %s: %w", r.Application.Name, err)
	}
	defer lease.Release()
	var report Report
	overtaken := map[string]Past{}
	for range rounds {
		var again bool
		report, again, err = r.round(ctx, lease, req, early, overtaken)
		early = nil // the next round reads again
		if err != nil {
			return report, fmt.Errorf("cannot reconcile %s: %w", r.Application.Name, err)
		}
		if !again {
			break
		}
	}
	return report, nil
}

func (r *Reconciler) mergeAll(ctx context.Context, v view, req Request) []*item {
	items := make([]*item, 0, len(v.names))
	for _, name := range v.names {
		in := r.input(v, req, name)
		m, account := v.memory.Accounts[name], v.os.Accounts[name]
		it := &item{name: name, in: in, open: m.Open, decision: Merge(in), person: m.personNow(in.OS, account)}
		it.successor = in.OS != nil && m.succeeded(account)
		it.pair = pairOf(in, it.decision)
		it.origin = r.originOf(it, req)
		if it.settledByChoice() {
			it.origin.SettledBy = req.SettledBy
		}
		items = append(items, it)
	}
	if !req.DryRun {
		r.space(items)
	}
	r.protect(ctx, items)
	return items
}

func (r *Reconciler) input(v view, req Request, name string) Input {
	account, ok := v.os.Accounts[name]
	m := v.memory.Accounts[name].of(account, ok)
	in := Input{
		Fault: v.fault, Fields: v.caps.Fields, Formats: v.caps.Formats, Opaque: v.caps.Opaque(),
		Baseline: m.Baseline, Open: m.Open, Record: m.Record, Past: m.Past,
		StoreLed:    m.LastChange != nil && m.LastChange.SeenBy == SeenByStore,
		Announced:   m.LastChange != nil && m.LastChange.SeenBy.Announced(),
		PastUnknown: v.memory.PastUnknown,
		Evidence:    req.Evidence, Policy: r.Application.policy(name), Today: DayOf(r.Now()),
	}
	// Settling ends with the boot: a change that was made since was made by a person while the
	// machine was off.
	in.Evidence.Settling = in.Evidence.Settling || !in.Evidence.AtBoot && r.Now().Before(v.memory.Settle)
	in.Policy.Create = in.Policy.Create || req.Create
	if len(req.Only) > 0 && !slices.Contains(req.Only, name) {
		in.Evidence.Prefer = Neither
	}
	if len(req.Wrote) > 0 && !slices.Contains(req.Wrote, name) {
		in.Evidence.Writer = WriterUnknown
	}
	if req.First != Neither {
		in.Policy.First = req.First
	}
	if ok {
		in.OS = &account.Credential
		in.Lent = v.lent[name].lends(account.Hash)
	}
	if why, ok := v.store.Malformed[name]; ok && v.fault == nil {
		in.Fault = &StoreFault{Reason: "store: " + why, Malformed: true, single: true}
	}
	if rec, ok := v.store.Accounts[name]; ok && in.Fault == nil {
		in.Store = &rec.Credential
		in.Evidence.StoreAt = rec.ChangedAt
		if !in.Opaque {
			in.Refusal = r.refusal(rec.Credential)
		}
	}
	return in
}

// refusal says why the store's value itself is not taken. A lock mark and the marker "*" are
// allowed, because they open nothing; Merge refuses what is no value at all.
func (r *Reconciler) refusal(store Credential) string {
	if store.Kind() == KindPassword || store.Kind() == KindNone && store.Hash != "*" {
		if err := r.CheckHash(store.Hash); err != nil {
			return "the store's value was refused: " + err.Error()
		}
	}
	return ""
}

// originOf takes the recorded origin if the present OS value belongs to that change. The request's
// origin describes the news that triggered it, not every difference found on the way.
func (r *Reconciler) originOf(it *item, req Request) Origin {
	if o := it.in.Open; o != nil && it.decision.OS != nil && o.OS.Hash == it.decision.OS.Hash && o.Origin.SeenBy != "" && !it.besideWait() {
		return o.Origin
	}
	origin := req.Origin
	switch {
	case it.decision.Verdict == VerdictApply, it.decision.Reason == reasonForeign, it.decision.Reason == reasonUnproven:
		origin = Origin{SeenBy: SeenByStore}
	case origin.SeenBy == "", origin.SeenBy.Announced(), origin.SeenBy == SeenByStore && it.movedOS():
		origin = Origin{SeenBy: SeenByWatch}
	}
	if origin.At.IsZero() {
		origin.At = r.Now()
	}
	return origin
}

// settledByChoice reports whether the item would be a conflict but for an administrator's choice.
func (it *item) settledByChoice() bool {
	in := it.in
	if in.Evidence.Prefer == Neither || it.decision.Verdict.State() == Conflict {
		return false
	}
	in.Evidence.Prefer = Neither
	return Merge(in).Verdict.State() == Conflict
}

// besideWait reports whether the OS side moved while the pair that both sides hold waits for a
// login. That change's origin is not the wait's.
func (it *item) besideWait() bool {
	o := it.in.Open
	return o.State == NeedsLogin && o.Reason == reasonForeign && it.movedOS()
}

// round runs one plan. The bool asks for another round because a side moved meanwhile; overtaken keeps
// what the store held until then.
func (r *Reconciler) round(ctx context.Context, lease Lease, req Request, early *earlyRead, overtaken map[string]Past) (Report, bool, error) {
	v, err := r.look(ctx, nil, early)
	if err != nil {
		return Report{}, false, err
	}
	items := r.mergeAll(ctx, v, v.wrote.complete(req))
	work := unsettled(items)
	for _, it := range work {
		it.overtaken = overtaken[it.name]
	}
	done, err := r.run(ctx, lease, work, v)
	if err != nil {
		return Report{}, false, err
	}
	again := false
	for _, it := range work {
		again = again || it.dropped
		if it.dropped && it.in.Store != nil && it.in.Fault == nil {
			overtaken[it.name] = append(overtaken[it.name], storeDigest(*it.in.Store, it.in.Fields))
		}
	}
	if !again && done.fault == nil {
		err = r.mark(ctx, v, items)
	}
	return v.report(items), again, errors.Join(done.fault, err)
}

func unsettled(items []*item) []*item {
	var out []*item
	for _, it := range items {
		if !it.settled() && !it.later {
			out = append(out, it)
		}
	}
	return out
}
