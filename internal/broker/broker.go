// Package broker is the daemon: it watches, reconciles, guards, ends sessions
// and answers. It decides nothing that the engine would not decide without it,
// holds no clear text, and opens no store that needs a network or another user's file.
//
//	broker.go       Run: the parts and their order
//	keeper.go       one application kept in sync
//	watch.go        what is noticed on the OS side, and who did it
//	server.go       the two sockets; what the PAM module announces
//	judging.go      new passwords, by the configuration's rules
//	vouchers.go     which changes a judgement came before
//	review.go       and the others, once they are made
//	busy.go         one thing at a time for an account
//	logins.go       what a login proves to a store that waits for it
//	operators.go    what operators may ask, and who they are
//	people.go       who there is
//	queries.go      what they are shown
//	acts.go         what they change
//	roster.go       who may lock or remove whom
//	users.go        accounts that they make and edit
//	deleteuser.go   and those that they remove
//	givepassword.go passwords that they give to others
//	setpassword.go  their own password, in a dialogue
//	outcome.go      what became of that when the broker died
//	dialogues.go    which shell ends last
//	errands.go      what PAM workers set for operators
//	tries.go        what slows guessing down
//	explain.go      what they are told, and what is put on record
//	message.go      what passwd prints
//	worker.go       store workers in units of their own
//	trim.go         the audit trail kept as long as configured
package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// storeTimeout bounds a call to a store, so that a hung one leaves passwd time
// for its answer: the PAM module waits two seconds in all.
const storeTimeout = 700 * time.Millisecond

// stuck is how long a reconcile may take before the watchdog is left to act.
const stuck = time.Minute

// Options are what a broker is started with.
type Options struct {
	Config *config.Config
	File   string // where the configuration is
	Log    *slog.Logger
	Probe  func(shadowsync.Step)
}

// Broker is the running daemon.
type Broker struct {
	engine    atomic.Pointer[engine.Engine] // another one when operators made or removed an account
	bus       *systemd.Bus
	guard     *systemd.Guard
	dialogues *dialogues
	errands   errands
	keepers   map[string]*keeper
	writers   *writers
	logins    logins
	judged    busy          // accounts whose new password is
	turns     chan struct{} // of judgements
	vouchers  vouchers
	reviews   reviews
	refused   tries      // by judgements
	listing   sync.Mutex // one writes the list of managed accounts, or an older would replace a newer
	relisting sync.Mutex // one takes over the operators' list, for the same reason
	log       *slog.Logger
	file      string // the configuration
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

// live is the broker's life, from the opened sockets on.
func live(ctx context.Context, o Options, listeners map[string]*socket.Listener) error {
	bus := &systemd.Bus{}
	guard := systemd.NewBrokerGuard(bus).WithLimit(time.Duration(o.Config.Guard.Limit))
	talks := &dialogues{ender: sessions.Sessions{Bus: bus}}
	e, err := engine.Open(ctx, engine.Options{
		Config: o.Config, Program: "shadowsync daemon", StoreTimeout: storeTimeout, OpenStore: workers{bus}.open,
		Guard: guard, Sessions: talks, Probe: o.Probe,
	})
	if err != nil {
		return err
	}
	b := &Broker{bus: bus, guard: guard, dialogues: talks, keepers: map[string]*keeper{}, log: o.Log, file: o.File, turns: make(chan struct{}, mostJudged)}
	b.engine.Store(e)
	b.reviews.queue = make(chan review, mostReviews)
	b.writers = &writers{path: shadowPath(e)}
	for _, a := range o.Config.Applications {
		e.Reconciler(a.Name).Witness, e.Reconciler(a.Name).Vouched = b.witness(a.Unit), b.vouchers.holds
		b.keepers[a.Name] = newKeeper(e, a, b.publish, o.Log)
	}
	talks.again = b.endAgain
	return errors.Join(b.run(ctx, listeners), b.close())
}

func (b *Broker) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(b.guard.Close(ctx), b.engine.Load().Close())
}

// run watches before it looks for the first time, so that no change falls in
// between, and says that it is ready when it has looked.
func (b *Broker) run(ctx context.Context, listeners map[string]*socket.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		for _, k := range b.keepers {
			k.background.Wait()
		}
		b.logins.all.Wait()
		b.dropReviews()
	}()
	if err := b.list(ctx); err != nil {
		return err
	}
	if err := b.watch(ctx, &wg); err != nil {
		return err
	}
	for _, k := range b.keepers {
		// Force: a guard that an earlier life left is looked at too.
		k.tell(shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStart}, Force: true})
		wg.Go(func() { k.run(ctx) })
		wg.Go(func() { k.follow(ctx) })
	}
	failed := make(chan error, len(listeners))
	for name, l := range listeners {
		wg.Go(func() { failed <- b.serve(ctx, name, l) })
	}
	b.breakSilence()
	if err := systemd.Ready(b.status(ctx)); err != nil {
		return err
	}
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
	}
}

// endAgain ends what is due of an account's sessions; it does not wait for it.
func (b *Broker) endAgain(account string) {
	if a, managed := b.engine.Load().Config.Managing(account); managed {
		b.keepers[a.Name].finish(context.Background())
	}
}

// relist takes over the list of an application's accounts as it is now. Nobody's dialogue
// and no answer waits for that; what is under way goes on with the engine that it began
// with, but no reconcile that would miss an account which is no longer ours.
func (b *Broker) relist(application string) error {
	b.relisting.Lock()
	defer b.relisting.Unlock()
	c, err := b.engine.Load().Config.Relist("/", b.file)
	if err != nil {
		return err
	}
	next := b.engine.Load().With(c)
	changed := b.keepers[application]
	done := changed.begin()
	b.engine.Store(next)
	for _, k := range b.keepers {
		k.engine.Store(next)
	}
	done()
	b.publish()
	// Force: whoever imports an account looks at that one alone.
	changed.tell(shadowsync.Request{Origin: noticed.Origin, Force: true})
	return nil
}

// keepAlive tells the watchdog that we are well, for as long as no reconcile is stuck.
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
			b.log.Error("a reconcile does not end; leaving it to the watchdog", "application", name)
			continue
		}
		if err := systemd.KeepAlive(); err != nil {
			b.log.Warn("the watchdog cannot be told", "error", err)
		}
	}
}

func (b *Broker) stuck() string {
	for name, k := range b.keepers {
		if since := k.busySince(); !since.IsZero() && time.Since(since) > stuck {
			return name
		}
	}
	return ""
}

// publish tells the PAM module and people how things stand after a reconcile.
func (b *Broker) publish() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := b.list(ctx); err != nil {
		b.log.Warn("the PAM module cannot be told whom to report", "error", err)
	}
	if err := systemd.Status(b.status(ctx)); err != nil {
		b.log.Warn("the status cannot be shown", "error", err)
	}
}

func (b *Broker) list(ctx context.Context) error {
	b.listing.Lock()
	defer b.listing.Unlock()
	return engine.WriteManaged(ctx, b.engine.Load().Root(), b.engine.Load().Config, b.engine.Load().State)
}

// breakSilence takes away the mark by which the PAM module asks nothing for half a
// minute after a broker did not answer: this one does. Should it hang again, that
// costs one more passwd its two seconds.
func (b *Broker) breakSilence() {
	err := os.Remove(filepath.Join(b.engine.Load().Root(), engine.RunDir, "pam-timeout"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Warn("the PAM module stays silent for a while", "error", err)
	}
}

// status is the line in `systemctl status shadowsync`.
func (b *Broker) status(ctx context.Context) string {
	accounts, open := 0, 0
	for _, a := range b.engine.Load().Config.Applications {
		accounts += len(a.Accounts)
		memory, err := b.engine.Load().State.Survey(ctx, a.Name, a.Accounts)
		if err != nil {
			return "the state cannot be read: " + err.Error()
		}
		for _, account := range a.Accounts {
			if memory.Accounts[account].Open != nil {
				open++
			}
		}
	}
	if open > 0 {
		return fmt.Sprintf("%d of %d accounts not in sync; run shadowsync status", open, accounts)
	}
	return fmt.Sprintf("%d accounts in sync", accounts)
}
