package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// mostLogins bounds the concurrent proofs, each in a process that computes a hash. The others get
// their turn at their next login. mostLater bounds, with these, the hashes of announced changes that
// were not made in time: most of them wait for their turn.
const (
	mostLogins = 4
	mostLater  = 64
)

// laterWithin bounds the work on such a hash.
const laterWithin = 2 * time.Minute

// hashPatience bounds how long the end of the broker waits for hashes in work: with mailPatience it is within
// TimeoutStopSec=10s.
const hashPatience = 4 * time.Second

// logins are the accounts for which a login's proof, or the hash of an announced change, is being made.
type logins struct {
	busy
	all     sync.WaitGroup
	cancels map[int]context.CancelFunc // of what is being made
	begun   int
	next    map[string]later // by task: what is made when its present work has ended
	ending  bool
}

// later is work that nobody waits for.
type later struct{ run, drop func() }

// after has a task's work done as soon as the one before it has ended. Of what waits for that, only the newest is done.
func (l *logins) after(task string, most int, work later) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.working[task] {
		if older, waits := l.next[task]; waits {
			older.drop()
		}
		if l.next == nil {
			l.next = map[string]later{}
		}
		l.next[task] = work
		return true
	}
	if !l.reserve(task, most) {
		return false
	}
	l.all.Go(func() {
		for more := true; more; work, more = l.follows(task) {
			work.run()
		}
	})
	return true
}

// follows returns a task's next work; false: the task has ended.
func (l *logins) follows(task string) (later, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	work, waits := l.next[task]
	if waits && !l.ending {
		delete(l.next, task)
		return work, true
	}
	if waits {
		work.drop() // finish names it
	}
	delete(l.working, task)
	return later{}, false
}

// within bounds one piece of work, which outlives ctx but not finish.
func (l *logins) within(ctx context.Context, most time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancels == nil {
		l.cancels = map[int]context.CancelFunc{}
	}
	l.begun++
	n := l.begun
	l.cancels[n] = cancel
	return ctx, func() {
		cancel()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.cancels, n)
	}
}

// finish waits for what is being made, gives the rest up after that time, and names its accounts.
func (l *logins) finish(patience time.Duration) (left []string) {
	l.mu.Lock()
	l.ending = true
	l.mu.Unlock()
	done := make(chan struct{})
	go func() { l.all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
	}
	l.mu.Lock()
	for _, tasks := range []iter.Seq[string]{maps.Keys(l.working), maps.Keys(l.next)} {
		for task := range tasks {
			account, _, _ := strings.Cut(task, "/")
			left = append(left, account)
		}
	}
	for _, cancel := range l.cancels {
		cancel()
	}
	l.mu.Unlock()
	<-done
	slices.Sort(left)
	return slices.Compact(left)
}

// isEnding reports whether the broker ends.
func (l *logins) isEnding() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ending
}

// authenticated passes what a login proved to a store that waits for it. The login does not wait
// for that. The caller keeps the token.
func (b *Broker) authenticated(ctx context.Context, e *engine.Engine, peer socket.Peer, user string, token []*os.File) {
	a, managed := e.Config.Managing(user)
	if !managed || len(token) == 0 || !b.logins.begin(user, mostLogins) {
		return
	}
	own, err := socket.DuplicateAll(token)
	if err != nil {
		b.logins.end(user)
		b.log.Warn("a login could not be used for the store", "account", user, "error", err)
		return
	}
	login := who(e, peer)
	b.logins.all.Go(func() {
		defer b.logins.end(user)
		defer socket.CloseAll(own)
		ctx, done := b.logins.within(ctx, keeper.SettleWithin)
		defer done()
		for _, h := range e.Config.Holders(a) {
			if err := b.prove(ctx, e, h, user, login, own); err != nil {
				b.log.Warn("a login could not be used for the store", "application", h.Name, "account", user, "error", err)
			}
		}
	})
}

func (b *Broker) prove(ctx context.Context, e *engine.Engine, a config.Application, user string, login shadowsync.Origin, token []*os.File) error {
	memory, err := e.State.Load(ctx, a.Name, []string{user})
	if err != nil {
		return err
	}
	open := memory.Accounts[user].Open
	if open == nil || !open.State.Awaits() {
		return nil // the PAM module's list was older than the state
	}
	if _, lent := e.Config.Lender(a); lent && open.State == shadowsync.NeedsLogin {
		return nil // it gets what the other store gets
	}
	r := e.Reconciler(a.Name)
	target, present := proof.Of(ctx, r, user)
	var taken bool
	switch {
	case open.State == shadowsync.NeedsLogin:
		taken, err = b.proveNeeded(ctx, r, target, memory.Accounts[user], login, token[0])
	case present:
		taken, err = b.proveDoubt(ctx, e, r, target, *open, login, token[0])
	}
	if errors.Is(err, proof.ErrNotProven) {
		return nil // not the OS's password: for example, a directory's was asked for
	}
	if err != nil || !taken {
		return err
	}
	keeper.Of(b.keepers, e.Config, a).Tell(keeper.Noticed)
	return nil
}

// proveNeeded gives a store that waits for it the hash of a login's password.
func (b *Broker) proveNeeded(ctx context.Context, r *shadowsync.Reconciler, t proof.Target, m shadowsync.AccountMemory, login shadowsync.Origin, token *os.File) (taken bool, err error) {
	open := m.Open
	if !t.Needed(open.OS.Hash) {
		return false, nil
	}
	hash, err := b.proofs.Renew(ctx, token, open.OS.Hash, t)
	refused := (*shadowsync.RefusedError)(nil)
	switch {
	case errors.As(err, &refused) && m.AtStake():
		return r.Unfit(ctx, open.Account, open.OS.Hash, refused.Reason, login)
	case err != nil || hash == "":
		return false, err
	}
	return r.Prove(ctx, open.Account, open.OS.Hash, hash, login)
}

// proveDoubt tells by a login's password whether a value of the application's own scheme belongs to the
// OS's password. If the application has another one, the configuration says what follows.
func (b *Broker) proveDoubt(ctx context.Context, e *engine.Engine, r *shadowsync.Reconciler, t proof.Target, open shadowsync.Change, login shadowsync.Origin, token *os.File) (taken bool, err error) {
	value, err := b.proofs.Fits(ctx, token, open.OS.Hash, t)
	if errors.Is(err, proof.ErrDiffers) {
		if now, there := proof.Of(ctx, r, open.Account); !there || now.Like != t.Like {
			return false, nil // the application re-hashed it meanwhile: the next login tells
		}
		anew, err := r.Differs(ctx, open.Account, open.OS.Hash, login)
		if err != nil || !anew {
			return false, err
		}
		return true, b.followChange(ctx, e, r, open.Account)
	}
	if err != nil {
		return false, err
	}
	return r.Prove(ctx, open.Account, open.OS.Hash, value, login)
}

// followChange does what the configuration says about an account whose password was changed in the
// application. An account that its store may not change is left alone.
func (b *Broker) followChange(ctx context.Context, e *engine.Engine, r *shadowsync.Reconciler, account string) error {
	change, wanted := r.AfterChange(ctx, account)
	if !wanted {
		return nil
	}
	a, _ := e.Config.Managing(account) // authenticated has asked already
	if _, err := keeper.Of(b.keepers, e.Config, a).Set(ctx, change); err != nil {
		return fmt.Errorf("cannot %s %s, whose password was changed in the application: %w", change.Origin.Verb, account, err)
	}
	return nil
}

// pairLater has the store's hash of a change made that the announcer could not wait for, and reports whether it will be.
// A hash that is made while the broker ends is on record, and the store gets it at the next start.
// If the broker is killed first, or cannot wait, the account's next login brings the clear text.
func (b *Broker) pairLater(ctx context.Context, e *engine.Engine, a config.Application, change shadowsync.Change, token *os.File) bool {
	own, err := socket.Duplicate(token)
	if err != nil {
		b.log.Warn("the store's hash waits for a login", "account", change.Account, "error", err)
		return false
	}
	drop := func() { _ = own.Close() }
	work := later{run: func() { defer drop(); b.makeHash(ctx, e, a, change, own) }, drop: drop}
	task := change.Account + "/" + a.Further() // an account's name has no slash
	if !b.logins.after(task, mostLater, work) {
		b.log.Warn("the store's hash waits for a login: too many are being made", "account", change.Account)
		drop()
		return false
	}
	return true
}

// makeHash makes the hash that a store needs of a change, and records it.
func (b *Broker) makeHash(ctx context.Context, e *engine.Engine, a config.Application, change shadowsync.Change, token *os.File) {
	ctx, done := b.logins.within(ctx, laterWithin)
	defer done()
	r := e.Reconciler(a.Name)
	target, _ := proof.Of(ctx, r, change.Account)
	hash, err := b.proofs.Make(ctx, token, change.OS.Hash, target)
	taken, refused := false, (*shadowsync.RefusedError)(nil)
	if errors.As(err, &refused) || err == nil && hash != "" {
		taken, err = b.onceRecorded(ctx, e, r, change, func() (bool, error) {
			if refused != nil {
				return r.Unfit(ctx, change.Account, change.OS.Hash, refused.Reason, change.Origin)
			}
			return r.Prove(ctx, change.Account, change.OS.Hash, hash, change.Origin)
		})
	}
	if err != nil {
		b.log.Warn("the store's hash could not be made", "account", change.Account, "error", err)
	}
	if taken {
		keeper.Of(b.keepers, e.Config, a).Tell(keeper.Noticed)
	}
	if taken && b.logins.isEnding() {
		b.log.Info("the store's hash was made; the store gets it at the next start", "application", a.Name, "account", change.Account)
	}
}

// onceRecorded has a hash recorded. The announcement whose hash it is may still wait to be recorded itself, for instance
// for a reconcile of a store that hangs. Before that nothing takes the hash, and passwd has said that it is on its way.
func (b *Broker) onceRecorded(ctx context.Context, e *engine.Engine, r *shadowsync.Reconciler, change shadowsync.Change, record func() (bool, error)) (taken bool, err error) {
	const shortest, longest = 50 * time.Millisecond, time.Second
	ctx, cancel := context.WithTimeout(ctx, keeper.SettleWithin) // the announcement is given up then, too
	defer cancel()
	for pause := shortest; ; pause = min(2*pause, longest) {
		last := b.logins.isEnding() || !unrecorded(ctx, e, r, change)
		if taken, err = record(); taken || err != nil || last {
			return taken, err
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("its change was not on record in time, and it waits for a login: %w", context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// unrecorded reports whether the OS holds a change that is not on record yet, or that no reconcile has judged.
func unrecorded(ctx context.Context, e *engine.Engine, r *shadowsync.Reconciler, change shadowsync.Change) bool {
	present, err := e.Accounts.Read(ctx, []string{change.Account})
	if err != nil || present.Accounts[change.Account].Hash != change.OS.Hash {
		return false
	}
	memory, err := r.State.Survey(ctx, r.Application.Name, []string{change.Account})
	if err != nil {
		return false
	}
	m := memory.Accounts[change.Account]
	if m.Open != nil && m.Open.OS.Hash == change.OS.Hash {
		return m.Open.State == shadowsync.Queued
	}
	return m.Baseline == nil || m.Baseline.OS.Hash != change.OS.Hash
}
