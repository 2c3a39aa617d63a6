// Package engine connects the parts: it builds the domain's Reconciler from the configuration, the
// state, the OS side and each application's store. The root tool, the hooks and the broker run the
// same engine, each in its own process; nothing here depends on a daemon.
//
//	engine.go    Engine: open, reconcile, end sessions
//	configuration.go  the configuration, or the last good one
//	holders.go   the stores of one application beside each other
//	history.go   what their accounts had before
//	store.go     a store that is opened when needed and called with a time limit
//	system.go    what a backup contains, and finishing an interrupted restore
//	rehearse.go  what reconciles would do after a restore
//	open.go      which process a store's driver runs in
//	reload.go    reloads the server of a store after a write
//	evidence.go  what is known about the circumstances of a difference
//	house.go     makes the state follow edited names in the configuration
//	origin.go    who made a change
//	rules.go     holds a new password to the configuration's rules
//	journal.go   the audit trail, and its copy in the journal
//	teller.go    sends that copy in the background
//	notify.go    the administrator's program
//	coalesce.go  limits how often that program starts
//	notified.go  records the program's results
//	managed.go   the list of managed accounts that the PAM module reads
//	required.go  of whom second factors are required, and from when on
//	mail.go      mail about second factors
//	outbox.go    sends notices by mail in the background
//	factor.go    the second factors, and the list of whom the PAM module must refuse without a broker
//	mend.go      a state that is damaged or cannot be written
//	salvage.go   takes over what is readable in a damaged state
//	sealed.go    values that open an account like its password, sealed in the state
//	notes.go     the notes that the PAM module leaves when no broker takes a change
//	guard.go     the restart guard that the engine needs
package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/factor/mail"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/state/backup"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// HomeDir, below the root directory, is where shadowsync keeps everything: the embedded credential
// store and the state. The state has its own folder, because the store's folder is watched, and
// each write to the state would trigger that watch.
const (
	HomeDir  = "/var/lib/shadowsync"
	StateDir = HomeDir + "/state"
)

// Options are the parameters of Open.
type Options struct {
	Root   string // "/" or the folder where a system is mounted
	Config *config.Config
	// Program is the name shown to other processes that wait for the engine lock: "shadowsync
	// daemon".
	Program string
	// StoreTimeout limits each call to a store.
	StoreTimeout time.Duration
	// OpenStore opens an application's store; nil: as a child process if the driver asks for one.
	OpenStore func(context.Context, config.Application, store.Options) (shadowsync.CredentialStore, error)
	// ReloadUnit reloads the unit of a server after a write to its store; nil: by systemd.
	ReloadUnit func(ctx context.Context, unit string, pause time.Duration) error
	Guard      Guard
	Sessions   shadowsync.Sessions
	// Probe is called after each step of a plan; nil in production.
	Probe func(shadowsync.Step)
	// AskSudo asks what sudo's rules allow; nil: in this process, which must not be sandboxed then.
	AskSudo func(context.Context, []string) (map[string]protect.Answer, error)
	// SendMail sends a mail; nil: by the mail worker and the configured server.
	SendMail func(context.Context, mail.Message) error
	// MailPatience is how long Close waits for notices by mail that are left; 0: a minute.
	MailPatience time.Duration
	// Volatile: nothing can be written to the disk. The engine works on a copy of the state
	// (HeldDir), and leaves the PAM module's notes in place.
	Volatile bool
	// Look: the engine must not record anything. See housing.
	Look bool
}

// Engine holds everything needed to reconcile any application.
type Engine struct {
	Config   *config.Config
	State    *state.DB
	Accounts *shadowfile.File
	Protect  *protect.Finder

	root        string
	options     Options
	lock        shadowsync.Locker
	teller      *teller
	news        *notifier
	mail        *postman
	looked      *boots
	holds       *boots
	reconcilers map[string]*shadowsync.Reconciler
	system      backup.System
	mended      *atomic.Pointer[string] // what Resume said about an interrupted restore
}

// Open opens the state and prepares every application. It does not open a store yet.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	accounts := shadowfile.Open(o.Root)
	db, lock, settled, err := housing(ctx, &o, accounts)
	if err != nil {
		return nil, err
	}
	o.Config = settled.config
	e := &Engine{
		Config: o.Config, State: db, root: o.Root, options: o, lock: lock,
		Accounts: accounts,
		Protect: protect.New(protect.Options{
			Root: o.Root, Groups: o.Config.Protected.Groups, Admins: o.Config.AdminGroups(), Ask: o.AskSudo,
		}),
		teller:      newTeller(o.Root),
		mail:        (&postman{root: o.Root, instead: o.SendMail, notices: newOutbox()}).with(o.Config),
		looked:      &boots{},
		holds:       &boots{},
		reconcilers: make(map[string]*shadowsync.Reconciler, len(o.Config.Applications)),
		mended:      &atomic.Pointer[string]{},
	}
	system, err := SystemOf(o.Root, o.Config, o.OpenStore)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	e.lock, e.system = mending{e.lock, e, system}, system
	e.news = newNotifier(o.Root, o.Config, journalled{db, e.teller, nil})
	if settled.lost.event.Action != "" {
		e.teller.tell(settled.lost.event) // also to the journal, which persists if the state does not
	}
	e.teller.tell(settled.events...)
	for _, a := range o.Config.Applications {
		r, err := e.newReconciler(a)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot use application %s: %w", a.Name, err), e.Close())
		}
		e.reconcilers[a.Name] = r
	}
	if err := e.salvageLost(ctx, settled.lost); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func openState(ctx context.Context, o Options) (*state.DB, shadowsync.Locker, error) {
	switch {
	case o.Volatile && o.Look:
		db, err := state.Glimpse(ctx, o.Root, StateDir, HeldDir)
		return db, state.FreeLocker{}, err
	case o.Volatile:
		db, in, err := state.OpenVolatile(ctx, o.Root, StateDir, HeldDir)
		if in == "" {
			return db, state.FreeLocker{}, err
		}
		return db, state.NewLockerIn(o.Root, in, o.Program), err
	}
	db, err := state.OpenIn(ctx, o.Root, StateDir)
	return db, state.NewLockerIn(o.Root, StateDir, o.Program), err
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
	r := &shadowsync.Reconciler{
		Application: e.Config.Domain(a), Accounts: e.Accounts, Store: s, State: e.stateOf(s), Lock: e.lock,
		Guard: e.options.Guard, Sessions: e.options.Sessions, Protected: e.protected, CheckHash: taken(a), Now: time.Now, Probe: e.options.Probe,
		Occupied: e.occupied,
	}
	if len(r.Application.Stores) > 1 {
		r.Beside = e.beside(a)
	}
	return r
}

// taken returns the check that says which hashes of an application's store may reach the OS.
func taken(a config.Application) func(hash string) error {
	var allowed []format.Format
	for _, name := range a.WeakFormats {
		f, _ := format.Named(name) // the configuration was checked
		allowed = append(allowed, f)
	}
	return func(hash string) error { return format.CheckForeign(hash, allowed...) }
}

// With returns the engine for a configuration that differs only in the applications' accounts
// (config.Config.Relist). The two share everything else, including the open stores and the state,
// so only one of them must be closed.
func (e *Engine) With(c *config.Config) *Engine {
	next := &Engine{
		Config: c, State: e.State, Accounts: e.Accounts, Protect: e.Protect, root: e.root, options: e.options, lock: e.lock,
		teller: e.teller, news: e.news, mail: e.mail.with(c), looked: e.looked, holds: e.holds, system: e.system, mended: e.mended,
		reconcilers: make(map[string]*shadowsync.Reconciler, len(c.Applications)),
	}
	for _, a := range c.Applications {
		r := next.reconcilerOf(a, e.reconcilers[a.Name].Store)
		before := e.reconcilers[a.Name]
		r.Witness, r.Vouched, r.Pace = before.Witness, before.Vouched, before.Pace
		next.reconcilers[a.Name] = r
	}
	return next
}

// protected says which accounts a store may not change, and why.
func (e *Engine) protected(ctx context.Context, led, held []string) map[string]shadowsync.Protection {
	found := map[string]shadowsync.Protection{}
	standings := e.Protect.Of(ctx, led...)
	maps.Copy(standings, e.Protect.Glance(ctx, held...))
	for name, s := range standings {
		if why := s.AgainstStores(); why != "" {
			found[name] = shadowsync.Protection{Why: why, Later: s.Later}
		}
	}
	return found
}

// occupied returns the uids that have a process or a session of a page; on a mounted system there are none.
func (e *Engine) occupied() (map[int]bool, error) {
	if e.root != "/" {
		return map[int]bool{}, nil
	}
	return sessions.Occupied()
}

// Close closes the stores and the state.
func (e *Engine) Close() error {
	e.mail.notices.wait(cmp.Or(e.options.MailPatience, mailPatience))
	e.news.wait()
	e.teller.wait()
	var errs []error
	for _, r := range e.reconcilers {
		errs = append(errs, r.Store.Close())
	}
	return errors.Join(append(errs, e.State.Close(), e.system.Close())...)
}

// Locker hands out the engine lock.
func (e *Engine) Locker() shadowsync.Locker { return e.lock }

// Root is the root directory that the engine works on.
func (e *Engine) Root() string { return e.root }

// Reconciler returns the reconciler of an application, which must be in the configuration.
func (e *Engine) Reconciler(application string) *shadowsync.Reconciler {
	return e.reconcilers[application]
}

// Reconcile adds what is known about the circumstances and reconciles one application.
func (e *Engine) Reconcile(ctx context.Context, application string, req shadowsync.Request) (shadowsync.Report, error) {
	report, after, err := e.ReconcileFirst(ctx, application, req)
	return report, errors.Join(err, after())
}

// ReconcileFirst is Reconcile for a caller that owes somebody the report: it must call after, once,
// before the application is reconciled again. That records what the report does not depend on.
func (e *Engine) ReconcileFirst(ctx context.Context, application string, req shadowsync.Request) (_ shadowsync.Report, after func() error, _ error) {
	var noted error // unreadable notes must not prevent the reconcile
	if !req.DryRun {
		noted = errors.Join(e.takeBack(ctx), e.honourNotes(ctx, application))
	}
	evidence, err := e.evidence(ctx, application, req.Evidence)
	if err != nil {
		return shadowsync.Report{}, func() error { return noted }, err
	}
	req.Evidence = evidence
	report, err := e.reconcilers[application].Reconcile(ctx, req)
	if req.DryRun {
		return report, func() error { return nil }, err
	}
	surroundings := err == nil && (evidence.AtBoot || !report.Unchanged)
	return report, func() error {
		err := e.tend(ctx, application)
		if surroundings {
			err = errors.Join(e.noteSurroundings(ctx, application), err)
		}
		return errors.Join(err, noted)
	}, err
}

// Set makes changes of our tools to accounts of one application. They do not change the
// surroundings, so it notes those only if this is the first look since a boot.
func (e *Engine) Set(ctx context.Context, application string, changes []shadowsync.Change) (shadowsync.SetReport, error) {
	evidence, err := e.evidence(ctx, application, shadowsync.Evidence{})
	if err != nil {
		return shadowsync.SetReport{}, err
	}
	report, err := e.reconcilers[application].Set(ctx, changes, shadowsync.Request{Evidence: evidence})
	if evidence.AtBoot {
		tended := e.tend(ctx, application)
		if err == nil {
			err = e.noteSurroundings(ctx, application)
		}
		err = errors.Join(err, tended)
	}
	return report, err
}
