package bulk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/faillock"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Options are what a run works with.
type Options struct {
	Engine *engine.Engine
	Origin shadowsync.Origin // who has it done
	Ledger Ledger
	// Owned returns why an account that no application manages cannot be changed here; nil: for no other
	// reason.
	Owned func(ctx context.Context, name string) error
	// BatchTime is how long passwords are hashed before the ready ones are set. An interruption
	// loses that much work, and each batch replaces the shadow file once.
	BatchTime time.Duration
	// Action is the audited action of an attempt that failed with this error.
	Action func(error) string
}

// Run carries a verb out on any number of accounts.
type Run struct {
	Options
	verb     Verb
	managers map[string]config.Application // of each account
	admitted shadowsync.OSSnapshot         // when the work began
	began    time.Time
	failures *faillock.Counters
	rules    policy.Rules
	likes    map[string]map[string]string // the stores' present values, by holder and account: see like
}

// New prepares a run.
func New(v Verb, o Options) *Run {
	r := &Run{Options: o, verb: v, managers: map[string]config.Application{}, rules: o.Engine.Config.Password.Rules()}
	r.Origin.Verb = v.Name
	if v.Forgives {
		r.failures = faillock.Of(o.Engine.Root())
	}
	for _, application := range o.Engine.Config.Firsts() {
		for _, account := range application.Accounts {
			r.managers[account] = application
		}
	}
	return r
}

// Do does everything for all targets, and tells the ledger. One account's failure does not stop the
// others. It returns the applications of which an account was changed.
func (r *Run) Do(ctx context.Context, targets []Target) ([]config.Application, error) {
	jobs, refused, err := r.admit(ctx, targets)
	if err != nil {
		return nil, err
	}
	r.Ledger.Begin(len(jobs))
	r.settled(ctx, refused)
	rest := jobs[r.work(ctx, jobs):]
	if len(rest) > 0 {
		r.Ledger.Note(ctx.Err())
	}
	r.Ledger.Finish(rest)
	return r.changed(jobs), nil
}

// work handles the jobs batch by batch and returns how many it reached. It stops early on an
// interruption, or when new passwords can no longer be shown.
func (r *Run) work(ctx context.Context, jobs []*Job) (reached int) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stuck := false
	for batch := range r.batches(ctx, jobs) {
		if stuck {
			continue // a batch that was already prepared; no more follow
		}
		r.settle(ctx, batch)
		reached += len(batch)
		if stuck = r.Ledger.Stuck(); stuck {
			stop()
		}
	}
	return reached
}

// admit separates the targets that can be worked on from the others, before any work is done for
// them.
func (r *Run) admit(ctx context.Context, targets []Target) (jobs, refused []*Job, err error) {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Name
	}
	r.began = time.Now()
	r.admitted, err = r.Engine.Accounts.Read(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	memories, err := r.memories(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	bad, err := r.badLines(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range targets {
		j := &Job{Target: t, Application: r.managers[t.Name].Name}
		account, exists := r.admitted.Accounts[t.Name]
		j.Before = Person{Account: account, Memory: memories[t.Name]}
		switch {
		case t.Fault != nil:
			j.Fate.Err = t.Fault
		case j.Application == "" && t.Line > 0:
			j.Fate.Err = errNotManaged
		case j.Application == "":
			j.Fate.Err = r.unmanaged(ctx, t.Name)
		case bad[t.Name] > 0:
			j.Fate.Err = &shadowfile.BadLineError{Account: t.Name, Line: bad[t.Name]}
		case !exists:
			j.Fate.Err = fmt.Errorf("the OS has %w", shadowsync.ErrNoAccount)
		}
		if j.Fate.Err != nil {
			refused = append(refused, j)
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, refused, nil
}

// unmanaged says why an account that no application manages is not changed.
func (r *Run) unmanaged(ctx context.Context, name string) error {
	if r.Owned != nil {
		if err := r.Owned(ctx, name); err != nil {
			return err
		}
	}
	return &config.UnmanagedError{Account: name}
}

// badLines returns the unreadable lines in shadow(5) of the accounts that were not found there.
func (r *Run) badLines(ctx context.Context, names []string) (map[string]int, error) {
	for _, name := range names {
		if _, exists := r.admitted.Accounts[name]; !exists && r.managers[name].Name != "" {
			return r.Engine.Accounts.BadLines(ctx, names)
		}
	}
	return nil, nil
}

// errNotManaged does not name the account: a line of a list may contain anything.
var errNotManaged = fmt.Errorf("no application manages that account: %w", shadowsync.ErrNoAccount)

func (r *Run) changed(jobs []*Job) []config.Application {
	done := map[string]bool{}
	for _, j := range jobs {
		done[j.Application] = done[j.Application] || j.Fate.Done
	}
	return slices.DeleteFunc(r.Engine.Config.Firsts(), func(a config.Application) bool { return !done[a.Name] })
}

// Unread audits that a list could not be read.
func (r *Run) Unread(ctx context.Context, err error) error {
	return r.Engine.Audit(context.WithoutCancel(ctx), r.attempt(&Job{}, err))
}

// Unknown reports whether an account cannot be set, whatever the password.
func (r *Run) Unknown(ctx context.Context, name string) bool {
	os, err := r.Engine.Accounts.Read(ctx, []string{name})
	_, exists := os.Accounts[name]
	return err != nil || !exists || r.managers[name].Name == ""
}
