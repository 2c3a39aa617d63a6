package shadowsync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// Application is a systemd unit, its credential store and the accounts it manages.
type Application struct {
	Name     string
	Unit     string
	Accounts []string
	Policy   Policy
	// Policies override Policy for single accounts.
	Policies map[string]Policy
	// TrustStore lets the store change protected accounts too.
	TrustStore bool
	// Judged: there are rules for new passwords, and one that was not held to them goes on record.
	Judged bool
	// Ending says what ends sessions.
	Ending Ending
	// Revision of the configuration that says all this.
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
	StepJournalled Step = "journalled" // the changes are on record, nothing is written
	StepOSWritten  Step = "os-written"
	StepPersisted  Step = "persisted" // the store has written
	StepVerified   Step = "verified"  // both sides were read back
	StepCommitted  Step = "committed" // baseline, record, audit and outbox moved together
	StepGuarded    Step = "guarded"
	StepLoggedOut  Step = "logged-out"
)

// Steps lists every step, for tests that stop at each.
var Steps = []Step{StepJournalled, StepOSWritten, StepPersisted, StepVerified, StepCommitted, StepGuarded, StepLoggedOut}

// alarmAfter write-backs of one value something is wrong with the application.
const alarmAfter = 3

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
	// CheckHash says why a foreign hash may not reach the OS; nil: it may.
	CheckHash func(hash string) error
	Now       func() time.Time
	// Witness tells who wrote the OS side's present content; nil: nobody watched.
	Witness func() (Origin, Writer)
	// Vouched tells whether somebody has just held an account's new password to the rules,
	// and its announcement is on the way; nil: nobody has.
	Vouched func(account string) bool
	// Occupied lists the uids that have anything running, so that the ends of
	// thousands of accounts' sessions cost little where nobody is logged in. Nil: all may have.
	Occupied func() (map[int]bool, error)
	// Probe is called after each step; nil in production.
	Probe func(Step)

	synced atomic.Pointer[Revisions] // the last that this process saw or put on record
}

// Request is why a reconcile runs, and what is known about the circumstances.
type Request struct {
	Origin   Origin // of differences that nobody announced
	Evidence Evidence
	Only     []string // accounts that Evidence.Prefer is for; empty: all
	First    Side     // which side wins where there is no baseline
	Create   bool     // accounts that the store lacks are created there
	DryRun   bool
	// Force looks at every account even if neither side's revision moved.
	Force bool
}

// Reconcile reads baseline, OS and store, merges, and carries out what Merge
// decided, step by step. It is idempotent: run again after a crash at any point,
// it finishes what was begun.
func (r *Reconciler) Reconcile(ctx context.Context, req Request) (Report, error) {
	if !req.Force && !req.DryRun && r.unchanged(ctx) {
		return Report{Unchanged: true}, nil
	}
	if req.DryRun {
		v, err := r.look(ctx)
		if err != nil {
			return Report{}, err
		}
		return v.report(r.mergeAll(v, req)), nil
	}
	lease, err := r.Lock.Acquire(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("cannot reconcile %s: %w", r.Application.Name, err)
	}
	defer lease.Release()
	var report Report
	for range rounds {
		var again bool
		report, again, err = r.round(ctx, lease, req)
		if err != nil {
			return report, fmt.Errorf("cannot reconcile %s: %w", r.Application.Name, err)
		}
		if !again {
			break
		}
	}
	return report, nil
}

// unchanged is the fast path: the same bytes on both sides under the same
// configuration have the same merge, and that was "nothing to do".
func (r *Reconciler) unchanged(ctx context.Context) bool {
	os, err := r.Accounts.Revision(ctx)
	if last := r.synced.Load(); err != nil || last != nil && last.OS != os {
		return false // seen without a look at the state, which a change of the OS side waits for
	}
	memory, err := r.State.Load(ctx, r.Application.Name, []string{})
	if err != nil || memory.Synced == (Revisions{}) || memory.Synced.Config != r.Application.Revision {
		return false
	}
	r.synced.Store(&memory.Synced)
	if os != memory.Synced.OS {
		return false
	}
	store, err := r.Store.Revision(ctx)
	return err == nil && store == memory.Synced.Store
}

// view is what was read at the beginning of a round.
type view struct {
	memory Memory
	os     OSSnapshot
	store  StoreSnapshot
	fault  *StoreFault
	caps   Capabilities
	wrote  witness
}

func (r *Reconciler) look(ctx context.Context) (view, error) {
	var v view
	var err error
	v.caps = r.Store.Capabilities()
	store := r.askStore(ctx)
	err = r.lookHere(ctx, &v)
	v.store, v.fault = store()
	if err != nil {
		return v, err
	}
	return v, r.recall(ctx, &v)
}

// askStore reads the store while the caller goes on; the result waits for the answer.
// A store's worker reads its file meanwhile.
func (r *Reconciler) askStore(ctx context.Context) func() (StoreSnapshot, *StoreFault) {
	type answer struct {
		snapshot StoreSnapshot
		err      error
	}
	given := make(chan answer, 1)
	go func() {
		snapshot, err := r.Store.Read(ctx, r.Application.Accounts)
		given <- answer{snapshot, err}
	}()
	runtime.Gosched() // or the question is sent when the caller has nothing else left to do
	return func() (StoreSnapshot, *StoreFault) {
		a := <-given
		return a.snapshot, faultOf(a.err)
	}
}

// lookHere reads what is on this side of a store's worker.
func (r *Reconciler) lookHere(ctx context.Context, v *view) (err error) {
	if v.memory, err = r.State.Survey(ctx, r.Application.Name, r.Application.Accounts); err != nil {
		return err
	}
	if v.os, err = r.Accounts.Read(ctx, r.Application.Accounts); err == nil && r.Witness != nil {
		v.wrote.origin, v.wrote.writer = r.Witness()
	}
	return err
}

// recall completes the memory of the accounts that moved: the past of all others
// would be loaded for nothing, and there may be a hundred thousand.
func (r *Reconciler) recall(ctx context.Context, v *view) error {
	if v.memory.Whole {
		return nil
	}
	var moved []string
	for _, name := range r.Application.Accounts {
		if in := r.input(*v, Request{}, name); in.moved() {
			moved = append(moved, name)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	memory, err := r.State.Load(ctx, r.Application.Name, moved)
	maps.Copy(v.memory.Accounts, memory.Accounts)
	return err
}

// faultOf tells what a store's error means for the accounts.
func faultOf(err error) *StoreFault {
	if err == nil {
		return nil
	}
	return &StoreFault{Reason: "store: " + cause(err), Malformed: errors.Is(err, ErrMalformed)}
}

// cause is the innermost text of an error, which is what a person wants to read
// inside passwd; the whole chain goes to the journal.
func cause(err error) string {
	for {
		next := errors.Unwrap(err)
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			next = many.Unwrap()[len(many.Unwrap())-1]
		}
		if next == nil || next == ErrUnavailable || next == ErrMalformed { //nolint:errorlint // one link of the chain is asked, not all
			return err.Error()
		}
		err = next
	}
}

func (r *Reconciler) mergeAll(v view, req Request) []*item {
	items := make([]*item, 0, len(r.Application.Accounts))
	for _, name := range r.Application.Accounts {
		in := r.input(v, req, name)
		it := &item{name: name, in: in, open: in.Open, decision: Merge(in)}
		it.pair = pairOf(in, it.decision)
		it.origin = r.originOf(it, req)
		items = append(items, it)
	}
	return items
}

func (r *Reconciler) input(v view, req Request, name string) Input {
	m := v.memory.Accounts[name]
	in := Input{
		Fault: v.fault, Fields: v.caps.Fields, Formats: v.caps.Formats,
		Baseline: m.Baseline, Open: m.Open, Record: m.Record, Past: m.Past,
		StoreLed: m.LastChange != nil && m.LastChange.SeenBy == SeenByStore,
		Evidence: req.Evidence, Policy: r.Application.policy(name), Today: DayOf(r.Now()),
	}
	// The application of an earlier boot does not settle any more: what changed
	// since, a person did to a machine that was off.
	in.Evidence.Settling = in.Evidence.Settling || !in.Evidence.AtBoot && r.Now().Before(v.memory.Settle)
	in.Policy.Create = in.Policy.Create || req.Create
	if len(req.Only) > 0 && !slices.Contains(req.Only, name) {
		in.Evidence.Prefer = Neither
	}
	if req.First != Neither {
		in.Policy.First = req.First
	}
	account, ok := v.os.Accounts[name]
	if ok {
		in.OS = &account.Credential
	}
	if why, ok := v.store.Malformed[name]; ok && v.fault == nil {
		in.Fault = &StoreFault{Reason: "store: " + why, Malformed: true, single: true}
	}
	if rec, ok := v.store.Records[name]; ok && in.Fault == nil {
		in.Store = &rec.Credential
		in.Evidence.StoreAt = rec.ChangedAt
		in.Refusal = r.refusal(account, rec.Credential)
	}
	return in
}

// refusal is invariant 9: a store is not trusted with the OS.
func (r *Reconciler) refusal(account Account, store Credential) string {
	if err := r.CheckHash(store.Hash); err != nil {
		return "the store's value is not taken: " + err.Error()
	}
	if account.Protected != "" && !r.Application.TrustStore {
		return "the store may not change this account: " + account.Protected
	}
	return ""
}

// originOf takes the origin on record if the present OS value is that change's.
// What the request says of its maker is about the news that brought it, not about
// every difference that is found on the way.
func (r *Reconciler) originOf(it *item, req Request) Origin {
	if o := it.in.Open; o != nil && it.decision.OS != nil && o.OS.Hash == it.decision.OS.Hash && o.Origin.SeenBy != "" && !it.besideWait() {
		return o.Origin
	}
	origin := req.Origin
	switch {
	case it.decision.Verdict == VerdictApply, it.decision.Reason == reasonForeign:
		origin = Origin{SeenBy: SeenByStore}
	case origin.SeenBy == "", origin.SeenBy.Proven(), origin.SeenBy == SeenByStore && it.movedOS():
		origin = Origin{SeenBy: SeenByWatch}
	}
	if origin.At.IsZero() {
		origin.At = r.Now()
	}
	return origin
}

// besideWait tells whether the OS side moved while what both sides hold waits for a login:
// whoever did that has nothing to do with the wait.
func (it *item) besideWait() bool {
	o := it.in.Open
	return o.State == NeedsLogin && o.Reason == reasonForeign && it.movedOS()
}

// round runs one plan. It asks for another round when a side moved meanwhile.
func (r *Reconciler) round(ctx context.Context, lease Lease, req Request) (Report, bool, error) {
	v, err := r.look(ctx)
	if err != nil {
		return Report{}, false, err
	}
	items := r.mergeAll(v, v.wrote.complete(req))
	work := unsettled(items)
	soft, err := r.run(ctx, lease, work, v)
	if err != nil {
		return Report{}, false, errors.Join(soft, err)
	}
	again := false
	for _, it := range work {
		again = again || it.dropped
	}
	if !again && soft == nil {
		err = r.mark(ctx, v, items)
	}
	return v.report(items), again, errors.Join(soft, err)
}

// witness is who wrote what has just been read. What was noticed before may
// have been an older content, and its writer another: that decides whether an
// old value is somebody's wish. A change after the reading fails the writes' compare-and-swap.
type witness struct {
	origin Origin
	writer Writer
}

// complete adds that to what a request says.
func (w witness) complete(req Request) Request {
	if w.writer == WriterUnknown {
		return req
	}
	req.Evidence.Writer = w.writer
	if req.Origin.SeenBy == SeenByWatch {
		w.origin.At = req.Origin.At
		req.Origin = w.origin
	}
	return req
}

func unsettled(items []*item) []*item {
	var out []*item
	for _, it := range items {
		if !it.settled() {
			out = append(out, it)
		}
	}
	return out
}
