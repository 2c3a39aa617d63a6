package bulk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/barrier"
	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// settleTime limits the setting of one batch; graceTime is what remains of that after an
// interruption, so that a batch is set completely or not at all.
const (
	settleTime = 30 * time.Second
	graceTime  = 5 * time.Second
)

// settle sets a batch with one replacement of the shadow file and one store write per application.
// An interruption cannot split it.
func (r *Run) settle(ctx context.Context, jobs []*Job) {
	ctx, cancel := grace(ctx)
	defer cancel()
	if err := r.Ledger.Room(jobs); err != nil {
		fail(jobs, fmt.Errorf("the new password could not be shown: %w", err))
	}
	parts := map[string][]*Job{}
	for _, j := range jobs {
		if j.Fate.Err == nil {
			parts[j.Application] = append(parts[j.Application], j)
		}
	}
	for _, application := range r.Engine.Config.Firsts() {
		if part := parts[application.Name]; len(part) > 0 {
			r.settleOne(ctx, application.Name, part)
			r.forgive(ctx, part)
			r.dropFactors(ctx, part)
		}
	}
	r.settled(ctx, jobs)
}

// grace returns a context that ends graceTime after ctx does, and after settleTime at the latest.
func grace(ctx context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(graceTime, cancel) })
	return late, func() { stop(); cancel() }
}

func (r *Run) settleOne(ctx context.Context, application string, jobs []*Job) {
	changes, err := r.changes(ctx, application, jobs)
	if err != nil {
		fail(jobs, err)
		return
	}
	if len(changes) == 0 {
		return
	}
	hashes := make(map[string]map[string]string, len(jobs))
	for _, j := range jobs {
		hashes[j.Name] = j.storeHashes
	}
	reports, unwritten, err := r.Engine.SetEverywhere(ctx, application, changes, func(holder, account string) string { return hashes[account][holder] })
	if unwritten == nil && err != nil { // nothing was written
		fail(jobs, err)
		return
	}
	holders := r.Engine.Holders(application)
	finders := make([]func(string) (shadowsync.Outcome, bool), len(reports))
	for i, report := range reports {
		finders[i] = report.Finder()
	}
	for _, j := range jobs {
		if j.Fate.Err != nil {
			continue
		}
		j.Fate.Err = unwritten[j.Name]
		j.Fate.Done = j.Fate.Err == nil
		if err != nil && j.Fate.Done { // it is recorded, and the next reconcile finishes it
			j.Fate.Outcome = shadowsync.Outcome{Account: j.Name, State: shadowsync.Queued, Reason: err.Error()}
			j.Fate.Outcomes = []engine.Settled{{Holder: holders[0], Outcome: j.Fate.Outcome}}
			continue
		}
		for i, find := range finders {
			outcome, _ := find(j.Name)
			j.Fate.Outcomes = append(j.Fate.Outcomes, engine.Settled{Holder: holders[i], Outcome: outcome})
			j.Fate.Fault = cmp.Or(j.Fate.Fault, reports[i].Fault)
		}
		j.Fate.Outcome = engine.Worst(j.Fate.Outcomes).Outcome
	}
}

func fail(jobs []*Job, err error) {
	for _, j := range jobs {
		j.Fate.Err = cmp.Or(j.Fate.Err, err)
	}
}

// changes applies the verb's wish to the accounts as they are now.
func (r *Run) changes(ctx context.Context, application string, jobs []*Job) ([]shadowsync.Change, error) {
	names := make([]string, len(jobs))
	for i, j := range jobs {
		names[i] = j.Name
	}
	if r.verb.CatchesUp {
		_, err := r.Engine.EachStore(ctx, application, func(h config.Application) (shadowsync.Report, error) {
			return r.Engine.Reconcile(ctx, h.Name, shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStart}})
		})
		if err != nil {
			return nil, err
		}
	}
	os, err := r.look(ctx, names)
	if err != nil {
		return nil, err
	}
	var memory shadowsync.Memory
	var history map[string][]engine.Kept
	if r.verb.Remembers {
		if memory, err = r.Engine.State.Load(ctx, application, names); err != nil {
			return nil, err
		}
		if history, err = r.Engine.History(ctx, application, names); err != nil {
			return nil, err
		}
	}
	changes := make([]shadowsync.Change, 0, len(jobs))
	for _, j := range jobs {
		account, ok := os.Accounts[j.Name]
		if !ok {
			j.Fate.Err = shadowsync.ErrNoAccount
			continue
		}
		c := shadowsync.Change{Account: j.Name, Origin: r.Origin, StoreHash: j.storeHashes[application]}
		w, err := r.verb.Wish(Person{account, memory.Accounts[j.Name], history[j.Name], j.hash})
		if err == nil {
			c.Origin.Verb, err = r.recorded(j.Name)
		}
		if err != nil {
			j.Fate.Err = err
			continue
		}
		if j.hash != "" && policy.TooSoon(account.Credential, today()) {
			c.Origin.Verb += exemptByAge // as with passwd, this rule does not bind root
		}
		c.OS, c.Fields = w.Credential, w.Fields
		switch {
		case w.StoreHash == "":
		case w.Holder == "" || w.Holder == application:
			c.StoreHash = w.StoreHash
		default:
			j.storeHashes = map[string]string{w.Holder: w.StoreHash}
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// moment is how old a read of the accounts may be when a wish is made from it. The fields of the
// wish overwrite whatever the account holds by then.
const moment = 200 * time.Millisecond

func (r *Run) look(ctx context.Context, names []string) (shadowsync.OSSnapshot, error) {
	if time.Since(r.began) < moment {
		return r.admitted, nil
	}
	return r.Engine.Accounts.Read(ctx, names)
}

// recorded is the verb as audited, with the number of failed logins that forgive will clear, so
// that one record shows the whole recovery.
func (r *Run) recorded(name string) (string, error) {
	if !r.verb.Forgives {
		return r.verb.Name, nil
	}
	n, err := r.failures.Count(name)
	if n == 0 || err != nil {
		return r.verb.Name, err
	}
	return fmt.Sprintf("%s (%s forgotten)", r.verb.Name, plural.Count(n, "refused password")), nil
}

// forgive clears the failure counters if the verb asks for it: after the credential is set, because a
// failed change must leave everything as it was.
func (r *Run) forgive(ctx context.Context, jobs []*Job) {
	if !r.verb.Forgives {
		return
	}
	var events []shadowsync.Event
	for _, j := range jobs {
		if !j.Fate.Done {
			continue
		}
		if _, err := r.failures.Clear(j.Name); err != nil {
			r.Ledger.Note(fmt.Errorf("cannot let %s in: %w", j.Name, err))
			events = append(events, r.attempt(j, err))
		}
	}
	if len(events) > 0 {
		r.Ledger.Note(r.Engine.Audit(ctx, events...))
	}
}

// settled reports the results of the jobs, and audits failed attempts.
func (r *Run) settled(ctx context.Context, jobs []*Job) {
	var events []shadowsync.Event
	for _, j := range jobs {
		if j.Fate.Err != nil {
			events = append(events, r.attempt(j, j.Fate.Err))
		}
	}
	if len(events) > 0 {
		r.Ledger.Note(r.Engine.Audit(ctx, events...))
	}
	r.lookForBarriers(ctx, jobs)
	r.Ledger.Add(jobs)
	for _, j := range jobs {
		cleartext.Wipe(j.Secret)
	}
}

// lookForBarriers finds what still prevents a login after a password is set or an account is
// unlocked: people expect that the new password works.
func (r *Run) lookForBarriers(ctx context.Context, jobs []*Job) {
	var names []string
	for _, j := range jobs {
		if j.Fate.Done && r.verb.LetsIn {
			names = append(names, j.Name)
		}
	}
	if names == nil {
		return
	}
	now, err := r.Engine.Accounts.Read(ctx, names)
	if err != nil {
		r.Ledger.Note(fmt.Errorf("cannot tell whether anything keeps the accounts out: %w", err))
		return
	}
	observer := barrier.Of(r.Engine.Root())
	for _, j := range jobs {
		if account, there := now.Accounts[j.Name]; there && j.Fate.Done {
			j.Fate.Barriers, j.Fate.Sharing = observer.Before(account, time.Now()), observer.Sharing(account)
		}
	}
}

// attempt is the audit record of a failed job. If passwords are being set, it names only an
// existing account: anything else may be a password in the wrong place.
func (r *Run) attempt(j *Job, err error) shadowsync.Event {
	e := shadowsync.Event{At: time.Now(), Application: j.Application, Action: r.Action(err), Reason: err.Error(), Origin: r.Origin}
	_, exists := r.admitted.Accounts[j.Name]
	passwords := r.verb.TakesTokens || r.verb.Generates
	switch {
	case errors.As(err, new(*directory.OwnedError)), exists, j.Application != "", j.Line == 0 && !passwords:
		e.Account = printable.Clip(j.Name, 256)
	case errors.As(err, new(*config.UnmanagedError)):
		e.Reason = errNotManaged.Error()
	}
	return e
}
