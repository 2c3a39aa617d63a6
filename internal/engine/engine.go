// Package engine puts the parts together: the configuration, the state, the OS
// side and each application's store become the domain's Reconciler. The root
// tool, the hooks and the broker all run this one engine, each in its own
// process; nothing here depends on a daemon.
//
//	engine.go    Engine: open, reconcile, end sessions
//	store.go     a store that is opened when needed and asked within a bound
//	open.go      which process a store's driver runs in
//	evidence.go  what is known about the circumstances of a difference
//	origin.go    who made a change
//	journal.go   the audit trail, and its copy in the journal
//	teller.go    how that is sent, beside the work
//	notify.go    the administrator's program
//	managed.go   the list of managed accounts that the PAM module reads
package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/crypt/format"
	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/shadowfile"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// HomeDir is where all that shadowsync keeps is, beneath the root directory: the
// embedded credential store, and the state in a folder of its own, since the store's
// folder is watched, and each write to the state would wake that watch.
const (
	HomeDir  = "/var/lib/shadowsync"
	StateDir = HomeDir + "/state"
)

// Options are what an engine needs to be opened.
type Options struct {
	Root   string // "/" or where a system is mounted
	Config *config.Config
	// Program names us to others who wait for the engine lock: "shadowsync daemon".
	Program string
	// StoreTimeout bounds each call to a store.
	StoreTimeout time.Duration
	// OpenStore opens an application's store; nil: as a child process where the driver asks for one.
	OpenStore func(context.Context, config.Application, store.Options) (shadowsync.CredentialStore, error)
	Guard     shadowsync.Guard
	Sessions  shadowsync.Sessions
	// Probe is called after each step of a plan; nil in production.
	Probe func(shadowsync.Step)
}

// Engine is everything that a reconcile of any application needs.
type Engine struct {
	Config   *config.Config
	State    *state.DB
	Accounts *shadowfile.File

	root        string
	options     Options
	lock        shadowsync.Locker
	teller      *teller
	news        *notifier
	looked      *boots
	reconcilers map[string]*shadowsync.Reconciler
}

// Open opens the state and prepares every application; no store is opened yet.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	dir := filepath.Join(o.Root, StateDir)
	db, err := state.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	db.KeepPasswords(o.Config.Password.History)
	e := &Engine{
		Config: o.Config, State: db, root: o.Root, options: o, lock: state.NewLocker(dir, o.Program),
		Accounts:    shadowfile.Open(o.Root, shadowfile.ProtectGroups(o.Config.Protected.Groups...)),
		teller:      newTeller(),
		looked:      &boots{},
		reconcilers: make(map[string]*shadowsync.Reconciler, len(o.Config.Applications)),
	}
	e.news = newNotifier(o.Root, o.Config, e.teller)
	for _, a := range o.Config.Applications {
		r, err := e.newReconciler(a)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot use application %s: %w", a.Name, err), e.Close())
		}
		e.reconcilers[a.Name] = r
	}
	return e, nil
}

func (e *Engine) newReconciler(a config.Application) (*shadowsync.Reconciler, error) {
	options, err := store.Parse(a.Store)
	if err != nil {
		return nil, err
	}
	l, err := e.newLink(a, options)
	if err != nil {
		return nil, err
	}
	return e.reconcilerOf(a, l), nil
}

func (e *Engine) reconcilerOf(a config.Application, s shadowsync.CredentialStore) *shadowsync.Reconciler {
	return &shadowsync.Reconciler{
		Application: e.Config.Domain(a), Accounts: e.Accounts, Store: s, State: journalled{e.State, e.teller, e.news}, Lock: e.lock,
		Guard: e.options.Guard, Sessions: e.options.Sessions, CheckHash: format.CheckForeign, Now: time.Now, Probe: e.options.Probe,
		Occupied: e.occupied,
	}
}

// With is the engine under a configuration that differs in the applications' accounts
// alone (config.Config.Relist). The two share everything else, the open stores and the
// state too: one of them is to be closed.
func (e *Engine) With(c *config.Config) *Engine {
	next := &Engine{
		Config: c, State: e.State, Accounts: e.Accounts, root: e.root, options: e.options, lock: e.lock,
		teller: e.teller, news: e.news, looked: e.looked,
		reconcilers: make(map[string]*shadowsync.Reconciler, len(c.Applications)),
	}
	for _, a := range c.Applications {
		r := next.reconcilerOf(a, e.reconcilers[a.Name].Store)
		r.Witness, r.Vouched = e.reconcilers[a.Name].Witness, e.reconcilers[a.Name].Vouched
		next.reconcilers[a.Name] = r
	}
	return next
}

// occupied lists the uids that have a process; nobody's has on a mounted system.
func (e *Engine) occupied() (map[int]bool, error) {
	if e.root != "/" {
		return map[int]bool{}, nil
	}
	return origin.UIDs()
}

// Close closes the stores and the state.
func (e *Engine) Close() error {
	e.news.wait()
	e.teller.wait()
	var errs []error
	for _, r := range e.reconcilers {
		errs = append(errs, r.Store.Close())
	}
	return errors.Join(append(errs, e.State.Close())...)
}

// Locker hands out the engine lock.
func (e *Engine) Locker() shadowsync.Locker { return e.lock }

// Root is the root directory that the engine works on.
func (e *Engine) Root() string { return e.root }

// Reconciler returns an application's; the name must be one of the configuration.
func (e *Engine) Reconciler(application string) *shadowsync.Reconciler {
	return e.reconcilers[application]
}

// Reconcile completes what is known about the circumstances and reconciles one application.
func (e *Engine) Reconcile(ctx context.Context, application string, req shadowsync.Request) (shadowsync.Report, error) {
	evidence, err := e.evidence(ctx, application, req.Evidence)
	if err != nil {
		return shadowsync.Report{}, err
	}
	req.Evidence = evidence
	report, err := e.reconcilers[application].Reconcile(ctx, req)
	if err != nil || req.DryRun || report.Unchanged && !evidence.AtBoot {
		return report, err
	}
	return report, e.noteSurroundings(ctx, application)
}

// Set makes changes of our own to accounts of one application. They leave the
// surroundings as they are: those are noted only if this is the first look since a boot.
func (e *Engine) Set(ctx context.Context, application string, changes []shadowsync.Change) (shadowsync.Report, map[string]error, error) {
	evidence, err := e.evidence(ctx, application, shadowsync.Evidence{})
	if err != nil {
		return shadowsync.Report{}, nil, err
	}
	report, failed, err := e.reconcilers[application].Set(ctx, changes, shadowsync.Request{Evidence: evidence})
	if err == nil && evidence.AtBoot {
		err = e.noteSurroundings(ctx, application)
	}
	return report, failed, err
}
