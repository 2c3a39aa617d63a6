package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/faillock"
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// verb is what a command does to credentials: one change a account, on both
// sides, in one audited transaction. It says what it wants; errand carries it out.
type verb struct {
	name   string // in the audit: "reset password, unlock"
	phrase string // in messages, before an account's name: "reset the password of"
	doing  string // while it takes long: "Resetting passwords"
	// wish is what an account's credential is to become, and in which fields.
	wish func(person) (wish, error)
	// said is the line that tells people that it was done.
	said func(name string, secret []byte) string
	// takesTokens: the lines of a list hold passwords.
	takesTokens bool
	// generates: the passwords are made here, and told once.
	generates bool
	// judge: the new passwords must pass the machine's rules, which it asks, and the
	// configuration's; nil: they need not.
	judge *policy.Judge
	// remembers: the wish needs what is on record of an account.
	remembers bool
	// catchesUp: what nobody noticed yet is put on record first, for somebody will want it back.
	catchesUp bool
	// forgives: the failure counter is cleared too.
	forgives bool
}

// person is an account as a verb finds it.
type person struct {
	shadowsync.Account
	memory shadowsync.AccountMemory
	hash   string // of the new password; empty: there is none
}

// wish is what a verb wants of an account.
type wish struct {
	shadowsync.Credential
	fields    shadowsync.Fields
	storeHash string // empty: as the new password has it, or the OS's own
}

// settleTime bounds the setting of one batch, and graceTime how much of that is
// left once somebody interrupts: a batch is set whole, or not at all.
const (
	settleTime = 30 * time.Second
	graceTime  = 5 * time.Second
)

// errand carries a verb out on any number of accounts.
type errand struct {
	app      *app
	engine   *engine.Engine
	verb     verb
	origin   shadowsync.Origin
	managers map[string]config.Application // of each account
	guarded  bool                          // a pending change holds the unit back
	admitted shadowsync.OSSnapshot         // the accounts when the work began
	began    time.Time
	failures *faillock.Counters
	rules    policy.Rules
	ledger   *ledger
	meter    *meter
}

func (a *app) newErrand(e *engine.Engine, v verb, bulk bool) *errand {
	r := &errand{app: a, engine: e, verb: v, origin: ourselves(e), managers: map[string]config.Application{}}
	r.origin.Verb = v.name
	if v.forgives {
		r.failures = faillock.Of(a.root)
	}
	r.rules = policy.RulesOf(e.Config.Password)
	r.ledger, r.guarded = newLedger(a, v, bulk), !a.mounted() && e.Config.Guard.Limit > 0
	for _, application := range e.Config.Applications {
		for _, account := range application.Accounts {
			r.managers[account] = application
		}
	}
	return r
}

// run does everything for all targets, and returns what went wrong with any. A
// failure of one account never keeps another from being dealt with.
func (r *errand) run(ctx context.Context, targets []target) error {
	defer r.app.keepOutput(r.verb.generates)()
	if r.verb.generates {
		survivePipe()
	}
	jobs, refused, err := r.admit(ctx, targets)
	if err != nil {
		return err
	}
	r.meter = r.app.newMeter(r.verb.doing, len(jobs))
	r.settled(ctx, refused)
	reached := r.work(ctx, jobs)
	r.meter.stop()
	if rest := jobs[reached:]; len(rest) > 0 {
		if ctx.Err() != nil {
			r.ledger.note(errInterrupted)
		}
		r.ledger.notReached(rest)
	}
	err = r.endSessions(ctx, jobs)
	return errors.Join(r.ledger.close(), err)
}

// work deals with the jobs batch by batch, and returns how many it came to: not all
// where it is interrupted, or where new passwords can no longer be shown.
func (r *errand) work(ctx context.Context, jobs []*job) (reached int) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stuck := false
	for batch := range r.batches(ctx, jobs) {
		if stuck {
			continue // what was prepared when it got stuck; then there is no more
		}
		r.settle(ctx, batch)
		reached += len(batch)
		if stuck = r.ledger.stuck(); stuck {
			stop()
		}
	}
	return reached
}

// admit tells the targets that can be worked on from those that cannot, before
// any work is done for them.
func (r *errand) admit(ctx context.Context, targets []target) (jobs, refused []*job, err error) {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.name
	}
	r.began = time.Now()
	r.admitted, err = r.engine.Accounts.Read(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	memories, err := r.memories(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range targets {
		j := &job{target: t, application: r.managers[t.name].Name}
		account, exists := r.admitted.Accounts[t.name]
		j.before = person{Account: account, memory: memories[t.name]}
		switch {
		case t.fault != nil:
			j.fate.err = t.fault
		case j.application == "" && t.line > 0:
			j.fate.err = errNotManaged
		case j.application == "":
			j.fate.err = &noAccountError{t.name}
		case !exists:
			j.fate.err = fmt.Errorf("the OS has no such account: %w", shadowsync.ErrNoAccount)
		}
		if j.fate.err != nil {
			refused = append(refused, j)
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, refused, nil
}

// errNotManaged does not name the account: on a line of a list anything may stand there.
var errNotManaged = fmt.Errorf("no application manages that account: %w", shadowsync.ErrNoAccount)

// settle sets a batch: one replacement of the shadow file and one write to the
// store for each application, which an interruption does not cut in two.
func (r *errand) settle(ctx context.Context, jobs []*job) {
	ctx, cancel := grace(ctx)
	defer cancel()
	if err := r.ledger.room(jobs); err != nil {
		fail(jobs, fmt.Errorf("the new password could not be shown: %w", err))
	}
	parts := map[string][]*job{}
	for _, j := range jobs {
		if j.fate.err == nil {
			parts[j.application] = append(parts[j.application], j)
		}
	}
	for _, application := range r.engine.Config.Applications {
		if part := parts[application.Name]; len(part) > 0 {
			r.settleOne(ctx, application.Name, part)
			r.forgive(ctx, part)
		}
	}
	r.settled(ctx, jobs)
}

// grace is a context that ends a while after ctx does, and at the latest when
// nobody would wait any longer.
func grace(ctx context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(graceTime, cancel) })
	return late, func() { stop(); cancel() }
}

func (r *errand) settleOne(ctx context.Context, application string, jobs []*job) {
	changes, err := r.changes(ctx, application, jobs)
	if err != nil {
		fail(jobs, err)
		return
	}
	if len(changes) == 0 {
		return
	}
	report, failed, err := r.engine.Set(ctx, application, changes)
	if failed == nil && err != nil { // nothing was written at all
		fail(jobs, err)
		return
	}
	outcomes := make(map[string]shadowsync.Outcome, len(report.Outcomes))
	for _, o := range report.Outcomes {
		outcomes[o.Account] = o
	}
	for _, j := range jobs {
		if j.fate.err != nil {
			continue
		}
		j.fate.err = failed[j.name]
		j.fate.done = j.fate.err == nil
		j.fate.fault, j.fate.outcome = report.Fault, outcomes[j.name]
		if err != nil && j.fate.done { // it is on record, and is finished by whoever comes next
			j.fate.outcome = shadowsync.Outcome{Account: j.name, State: shadowsync.Queued, Reason: err.Error()}
		}
	}
}

func fail(jobs []*job, err error) {
	for _, j := range jobs {
		j.fate.err = cmp.Or(j.fate.err, err)
	}
}

// changes is what a verb wants of these accounts, by what they are now.
func (r *errand) changes(ctx context.Context, application string, jobs []*job) ([]shadowsync.Change, error) {
	names := make([]string, len(jobs))
	for i, j := range jobs {
		names[i] = j.name
	}
	if r.verb.catchesUp {
		if _, err := r.engine.Reconcile(ctx, application, shadowsync.Request{Origin: noticed()}); err != nil {
			return nil, err
		}
	}
	os, err := r.look(ctx, names)
	if err != nil {
		return nil, err
	}
	var memory shadowsync.Memory
	if r.verb.remembers {
		if memory, err = r.engine.State.Load(ctx, application, names); err != nil {
			return nil, err
		}
	}
	changes := make([]shadowsync.Change, 0, len(jobs))
	for _, j := range jobs {
		account, ok := os.Accounts[j.name]
		if !ok {
			j.fate.err = shadowsync.ErrNoAccount
			continue
		}
		c := shadowsync.Change{Account: j.name, Origin: r.origin, StoreHash: j.storeHash}
		w, err := r.verb.wish(person{account, memory.Accounts[j.name], j.hash})
		if err == nil {
			c.Origin.Verb, err = r.recorded(j.name)
		}
		if err != nil {
			j.fate.err = err
			continue
		}
		if j.hash != "" && policy.TooSoon(account.Credential, today()) {
			c.Origin.Verb += exemptByAge // as from passwd, root is not kept from it
		}
		c.OS, c.Fields, c.StoreHash = w.Credential, w.fields, cmp.Or(w.storeHash, c.StoreHash)
		changes = append(changes, c)
	}
	return changes, nil
}

// moment is how old a look at the accounts may be for a wish to be made of it. What
// the wish names is set over whatever the account is by then.
const moment = 200 * time.Millisecond

func (r *errand) look(ctx context.Context, names []string) (shadowsync.OSSnapshot, error) {
	if time.Since(r.began) < moment {
		return r.admitted, nil
	}
	return r.engine.Accounts.Read(ctx, names)
}

// recorded is the verb as it is audited: with the refused passwords that forgive will
// clear, so that one record tells the whole of a recovery.
func (r *errand) recorded(name string) (string, error) {
	if !r.verb.forgives {
		return r.verb.name, nil
	}
	n, err := r.failures.Count(name)
	if n == 0 || err != nil {
		return r.verb.name, err
	}
	return fmt.Sprintf("%s (%d refused passwords forgotten)", r.verb.name, n), nil
}

// forgive clears the failure counters where the verb says so. What else belongs to a
// recovery joins here, a second factor will: after the credential is set, for a change
// that failed must leave everything as it was.
func (r *errand) forgive(ctx context.Context, jobs []*job) {
	if !r.verb.forgives {
		return
	}
	var events []shadowsync.Event
	for _, j := range jobs {
		if !j.fate.done {
			continue
		}
		if _, err := r.failures.Clear(j.name); err != nil {
			r.ledger.note(fmt.Errorf("cannot let %s in: %w", j.name, err))
			events = append(events, r.attempt(j, err))
		}
	}
	if len(events) > 0 {
		r.ledger.note(r.engine.Record(ctx, events...))
	}
}

// settled tells what became of jobs, and puts the attempts on record that came to nothing.
func (r *errand) settled(ctx context.Context, jobs []*job) {
	var events []shadowsync.Event
	for _, j := range jobs {
		if j.fate.err != nil {
			events = append(events, r.attempt(j, j.fate.err))
		}
	}
	if len(events) > 0 {
		r.ledger.note(r.engine.Record(ctx, events...))
	}
	defer r.meter.hide()()
	for _, j := range jobs {
		r.ledger.add(r.managers[j.name], r.guarded, j)
		wipe(j.secret)
	}
}

// attempt is the record of a job that came to nothing.
func (r *errand) attempt(j *job, err error) shadowsync.Event {
	e := shadowsync.Event{At: time.Now(), Application: j.application, Action: attempted(err), Reason: err.Error(), Origin: r.origin}
	if j.application != "" || j.line == 0 {
		e.Account = printable.Clip(j.name, 256)
	}
	return e
}

func (r *errand) endSessions(ctx context.Context, jobs []*job) error {
	done := map[string]bool{}
	for _, j := range jobs {
		done[j.application] = done[j.application] || j.fate.done
	}
	var errs []error
	for _, application := range r.engine.Config.Applications {
		if done[application.Name] {
			errs = append(errs, r.app.endSessions(context.WithoutCancel(ctx), r.engine, application))
		}
	}
	return errors.Join(errs...)
}
