// Package broker is the daemon: it watches, reconciles, guards, ends sessions
// and answers requests. The engine makes every decision. The broker holds no clear text, and
// opens no store that needs a network or another user's file.
//
//	broker.go       Run: the parts and their order
//	configured.go   reports a configuration that cannot be used, and uses a changed one
//	later.go        looks at stores whose server started later
//	strays.go       moves guards from units that an application no longer has
//	watch.go        what changed on the OS side, and who wrote it
//	server.go       the sockets, and who may ask what on root's
//	announced.go    changes that the PAM module announces
//	announcers.go   which programs announce theirs
//	judging.go      judges new passwords by the configuration's rules
//	vouchers.go     which changes were judged beforehand
//	review.go       judges the other changes after they were made
//	busy.go         one task at a time for an account
//	logins.go       passes the proof of a login to a store that waits for it
//	lists.go        what the PAM module reads while the broker does not answer
//	codes.go        second factors at logins: who needs a code
//	typed.go        what follows from what was typed there: a code, 'lost', a new enrolment
//	message.go      what passwd prints
//	worker.go       starts store workers in units of their own
//	trim.go         keeps the audit trail for the configured time
//
// Below it: keeper keeps one application in sync, operators answers on the operators' socket, web
// on that of pages, limit slows down guessing.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/accountworker"
	"github.com/shadowsync/shadowsync/internal/account/faillock"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/wire/idle"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// storeTimeout bounds a call to a store. With a hung store passwd still gets its answer: the PAM
// module waits two seconds in all.
const storeTimeout = 700 * time.Millisecond

// mailPatience leaves time for the rest of a stop (TimeoutStopSec=10s).
const mailPatience = 5 * time.Second

// stuck is how long a reconcile may take. After that the broker stops answering the watchdog.
const stuck = time.Minute

// Options are what a broker is started with.
type Options struct {
	Config *config.Config
	File   string // path of the configuration
	Log    *slog.Logger
	Probe  func(shadowsync.Step)
}

// Broker is the running daemon.
type Broker struct {
	engine    atomic.Pointer[engine.Engine] // replaced when operators create or remove an account
	bus       *systemd.Bus
	guard     *systemd.Guard
	helpers   *worker.Helpers
	accounts  *accountworker.Workers
	dialogues *operators.Dialogues
	errands   operators.Errands
	prompts   *operators.Server // answers operators
	keepers   map[string]*keeper.Keeper
	writers   *writers
	shadowed  chan struct{} // the shadow file was changed: for the sessions of pages
	announced announcers
	logins    logins
	proofs    proof.Maker
	judged    busy          // accounts with a judgement in progress
	turns     chan struct{} // semaphore: bounds concurrent judgements
	codes     codes
	vouchers  vouchers
	reviews   reviews
	refused   limit.Tries // limits how many refused judgements are audited
	failures  func() *faillock.Counters
	listing   sync.Mutex // serialises writes of the list of managed accounts, so that an older list never replaces a newer
	tidy      idle.Tidier
	relisting sync.Mutex // serialises relist, for the same reason
	spoiled   chan error // gets the error that makes the state unusable
	log       *slog.Logger
	file      string // path of the configuration
}

// Run runs the broker until ctx ends.
func Run(ctx context.Context, o Options) error {
	listeners, err := listen()
	if err != nil {
		return err
	}
	err = live(ctx, o, listeners)
	return errors.Join(systemd.Stopping(), err)
}

// live runs the broker once the sockets are open.
func live(ctx context.Context, o Options, listeners map[string]*socket.Listener) error {
	bus := &systemd.Bus{}
	guard := systemd.NewBrokerGuard(bus).WithLimit(time.Duration(o.Config.Guard.Limit))
	talks := &operators.Dialogues{Ender: sessions.Sessions{Bus: bus, Logins: &systemd.Logins{}, Later: func(rest func()) { go rest() }}}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot start workers: %w", err)
	}
	helpers := &worker.Helpers{Bus: bus, Binary: binary}
	accounts := &accountworker.Workers{Helpers: helpers}
	options := engine.Options{
		Config: o.Config, Program: "shadowsync daemon", StoreTimeout: storeTimeout, OpenStore: workers{helpers}.open,
		Guard: guard, Sessions: talks, Probe: o.Probe, AskSudo: accounts.AskSudo,
		MailPatience: mailPatience,
	}
	e, err := engine.Open(ctx, options)
	if moved, cannot := engine.MoveAside(ctx, options, err); moved || cannot != nil {
		o.Log.Error("the state is damaged, and begins anew", "error", errors.Join(err, cannot))
		e, err = engine.Open(ctx, options)
	}
	if err != nil {
		return err
	}
	b := &Broker{spoiled: make(chan error, 1), bus: bus, helpers: helpers, proofs: proof.Maker{Helpers: helpers}, accounts: accounts, guard: guard, dialogues: talks, keepers: map[string]*keeper.Keeper{}, log: o.Log, file: o.File, turns: make(chan struct{}, mostJudged), codes: codes{turns: make(chan struct{}, mostCodes)}}
	b.shadowed = make(chan struct{}, 1)
	b.engine.Store(e)
	b.failures = sync.OnceValue(func() *faillock.Counters { return faillock.Of("/") })
	b.reviews.queue = make(chan review, mostReviews)
	b.writers = &writers{path: shadowPath(e)}
	for _, a := range e.Config.Applications {
		r := e.Reconciler(a.Name)
		r.Witness, r.Vouched, r.Pace = b.witness(a.Unit), b.vouchers.holds, &shadowsync.Pace{}
		b.keepers[a.Name] = keeper.New(b.engine.Load, a, b.publish, o.Log)
		b.keepers[a.Name].Failed = b.spoil
		b.keepers[a.Name].GuardUntil = untilOf(guard, a.Unit)
	}
	for _, a := range e.Config.Applications {
		if lender, lent := e.Config.Lender(a); lent {
			k := b.keepers[lender.Name]
			k.Borrowers = append(k.Borrowers, b.keepers[a.Name])
		}
	}
	talks.Again = b.endAgain
	b.tellConfig(ctx)
	b.followUnits(ctx)
	err = errors.Join(b.run(ctx, listeners), b.close())
	_, cannot := engine.MoveAside(context.WithoutCancel(ctx), options, err) // systemd starts another broker
	return errors.Join(err, cannot)
}

// spoil ends the broker if its state is damaged or was replaced by another file: nothing that it
// would record now could be read again.
func (b *Broker) spoil(err error) {
	if !errors.As(err, new(*state.DamagedError)) && !errors.Is(err, state.ErrReplaced) {
		return
	}
	select {
	case b.spoiled <- err:
	default: // it is ending already
	}
}

func (b *Broker) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(b.guard.Close(ctx), b.engine.Load().Close())
}

// run starts the watch before its first look, so that it misses no change in between. It reports
// ready after that look.
func (b *Broker) run(ctx context.Context, listeners map[string]*socket.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		for _, k := range b.keepers {
			k.Wait()
		}
		if left := b.logins.finish(hashPatience); len(left) > 0 {
			b.log.Warn("the stores' hashes could not be made before the end: they wait for the accounts' next logins", "accounts", left)
		}
		b.dropReviews()
	}()
	if err := b.list(ctx); err != nil {
		return err
	}
	b.keepEnrolled(ctx)
	if err := b.watch(ctx, &wg); err != nil {
		return err
	}
	for _, k := range b.keepers {
		// Force: also look at a guard that an earlier broker left.
		k.Tell(shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStart}, Force: true})
		wg.Go(func() { k.Run(ctx) })
		wg.Go(func() { k.Follow(ctx) })
	}
	b.makeRoom(ctx)
	b.prompts = b.operators(ctx)
	failed := make(chan error, len(listeners))
	for name, l := range listeners {
		wg.Go(func() { failed <- b.serve(ctx, name, l) })
	}
	b.breakSilence()
	if err := systemd.Ready(b.status(ctx)); err != nil {
		return err
	}
	b.followServers(ctx, &wg)
	b.followConfig(ctx, &wg)
	wg.Go(func() { b.keepAlive(ctx) })
	wg.Go(func() { b.reviewAll(ctx) })
	if b.engine.Load().Config.Audit.KeepDays > 0 {
		wg.Go(func() { b.trimAudit(ctx) })
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		cancel()
		return err
	case err := <-b.spoiled:
		cancel()
		return err
	}
}

// makeRoom raises the memory limit of the broker's unit if the system's hash method needs more than
// usual: the workers that judge and prove passwords run in that unit.
func (b *Broker) makeRoom(ctx context.Context) {
	const usual, unit = 64 << 20, 512 << 20
	method, err := crypt.MethodOfSystem("/")
	memory := int64(method.Price().Memory)
	if err == nil && memory > usual {
		err = b.bus.SetMemoryMax(ctx, systemd.BrokerUnit, unit+mostJudged*memory)
	}
	if err != nil {
		b.log.Warn("there may be too little memory to compute costly hashes", "error", err)
	}
}

// endAgain starts the due session ends of an account and does not wait for them.
func (b *Broker) endAgain(account string) {
	if a, managed := b.engine.Load().Config.Managing(account); managed { // its first store ends sessions
		b.keepers[a.Name].Finish(context.Background())
	}
}

// relist loads the present list of an application's accounts. Dialogues and answers in progress do
// not wait for it: they keep the engine that they began with. A reconcile of this application must
// not run with the old list, because an account on it may be unmanaged now.
func (b *Broker) relist(application string) error {
	b.relisting.Lock()
	defer b.relisting.Unlock()
	present := b.engine.Load()
	c, err := present.Config.Relist("/", b.file)
	if err != nil {
		return err
	}
	next := present.With(c)
	b.keepConfig(next)
	a, _ := c.Named(application)
	changed := keeper.Of(b.keepers, c, a)
	done := changed.Begin()
	b.engine.Store(next)
	done()
	b.publish()
	// Force: the import of a new account looked at that account alone.
	changed.Tell(shadowsync.Request{Origin: keeper.Noticed.Origin, Force: true})
	return nil
}

// keepAlive answers the watchdog as long as no reconcile is stuck.
func (b *Broker) keepAlive(ctx context.Context) {
	interval, err := systemd.KeepAliveInterval()
	if err != nil || interval == 0 {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if name := b.stuck(); name != "" {
			b.log.Error("a reconcile does not end; the watchdog will restart the broker", "application", name)
			continue
		}
		if err := systemd.KeepAlive(); err != nil {
			b.log.Warn("cannot notify the watchdog", "error", err)
		}
	}
}

func (b *Broker) stuck() string {
	for name, k := range b.keepers {
		if since := k.BusySince(); !since.IsZero() && time.Since(since) > stuck {
			return name
		}
	}
	return ""
}

// publish shows the PAM module and people the state after a reconcile.
func (b *Broker) publish() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := b.list(ctx); err != nil {
		b.log.Warn("cannot tell the PAM module which accounts are managed", "error", err)
	}
	if err := systemd.Status(b.status(ctx)); err != nil {
		b.log.Warn("cannot show the status", "error", err)
	}
	b.tidy.Worked()
}

// status is the line in `systemctl status shadowsync`.
func (b *Broker) status(ctx context.Context) string {
	e, accounts, open := b.engine.Load(), 0, map[string]bool{}
	for _, a := range e.Config.Applications {
		if a.First() {
			accounts += len(a.Accounts)
		}
		memory, err := e.State.Survey(ctx, a.Name, a.Accounts)
		if err != nil {
			return "the state cannot be read: " + err.Error()
		}
		for _, account := range a.Accounts {
			if o := memory.Accounts[account].Open; o != nil && !o.State.Fits() {
				open[account] = true
			}
		}
	}
	text := plural.Count(accounts, "account") + " in sync"
	if len(open) > 0 {
		text = fmt.Sprintf("%d of %s not in sync; run shadowsync status", len(open), plural.Count(accounts, "account"))
	}
	return b.configStatus() + text
}
