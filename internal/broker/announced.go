package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/watch"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// pamChanged handles a change that the PAM module announced from inside passwd, login, su or sshd.
// It returns the answer and, if the change is in force, who made it. For a PAM worker of
// ours the text is empty: the dialogue tells the operator.
func (b *Broker) pamChanged(ctx context.Context, e *engine.Engine, peer socket.Peer, user string, token []*os.File) (said module.Answer, by shadowsync.Origin) {
	a, ok := e.Config.Managing(user)
	if !ok {
		return says(""), by
	}
	g := keeper.Of(b.keepers, e.Config, a)
	announced := g.Announcing()
	defer announced()
	about, _ := watch.FileAt(shadowPath(e))
	over := b.announced.begin()
	var program string
	defer func() { over(program, about) }()
	by = who(e, peer)
	program = by.Program
	errand := b.errands.Of(by.Unit)
	switch {
	case errand != nil:
		by = errand.Origin()
	case pamworker.IsUnit(by.Unit): // a worker of an earlier broker
		by.SeenBy = shadowsync.SeenByPcli
	}
	snapshot, err := e.Accounts.Read(ctx, []string{user})
	if err != nil {
		b.log.Warn("a changed account cannot be read", "account", user, "error", err)
		return module.Answer{Kind: module.Notes}, by
	}
	account, there := snapshot.Accounts[user]
	if !there { // an account of LDAP or sssd: the changed password is not the one in shadow(5)
		return says(elsewhere(user)), shadowsync.Origin{}
	}
	if b.overwritten(ctx, peer, account.Hash, token) {
		return says(fmt.Sprintf("shadowsync: %s: NOT persisted (another program wrote over it at once); set it again", user)), shadowsync.Origin{}
	}
	if errand != nil {
		errand.Found(account.Hash)
	}
	changes, later, err := b.pairAll(ctx, e, a, shadowsync.Change{Account: user, OS: account.Credential, Origin: by}, token, errand == nil)
	if _, writer := b.witness(a.Unit)(); writer == shadowsync.WriterApplication || errors.Is(err, proof.ErrNotProven) {
		// Another value was set meanwhile: this announcement is not about that value.
		for i := range changes {
			changes[i].Origin = shadowsync.Origin{At: by.At, SeenBy: shadowsync.SeenByWatch}
		}
	}
	outcomes, recorded := g.Changed(ctx, changes)
	if errand != nil {
		errand.Settle(outcomes)
		return says(""), by
	}
	if !recorded {
		return noted(user, storeFault(ctx, e, a)), by
	}
	for i := range outcomes {
		if o := &outcomes[i].Outcome; later[i] && o.State == shadowsync.NeedsLogin {
			o.State = shadowsync.Queued // its hash is being made
		}
	}
	guard, err := b.guard.Status(a.Unit)
	if err != nil {
		b.log.Warn("the guard cannot be read", "unit", a.Unit, "error", err)
	}
	return says(Message(outcomes, guard) + b.keptOut(account)), by
}

// storeFault returns why a store of an application could not take a change now. Nil means that all
// could, or that this is not known in time.
func storeFault(ctx context.Context, e *engine.Engine, a config.Application) error {
	for _, h := range e.Config.Holders(a) {
		s, ok := e.Reconciler(h.Name).Store.(driver.Rehearser)
		if !ok {
			continue
		}
		if fault := s.Rehearse(ctx); fault != nil && ctx.Err() == nil {
			return fault
		}
	}
	return nil
}

// pairWithin leaves time to record the change and to answer.
const pairWithin = time.Second

// pairAll returns the change as each store of an application takes it, with the hash that it needs of the
// clear text. later says of which stores that is still being made.
func (b *Broker) pairAll(ctx context.Context, e *engine.Engine, a config.Application, change shadowsync.Change, token []*os.File, may bool) (changes []shadowsync.Change, later []bool, err error) {
	holders := e.Config.Holders(a)
	changes, later = make([]shadowsync.Change, len(holders)), make([]bool, len(holders))
	errs := make([]error, len(holders))
	var all sync.WaitGroup
	for i, h := range holders {
		changes[i] = change
		if e.LenderAmong(holders, i) < 0 {
			all.Go(func() { later[i], errs[i] = b.pairInTime(ctx, e, h, &changes[i], token, may) })
		}
	}
	all.Wait()
	e.Lend(holders, changes)
	for i := range holders {
		if lender := e.LenderAmong(holders, i); lender >= 0 {
			later[i] = later[lender]
		}
	}
	return changes, later, errors.Join(errs...)
}

// pairInTime is pair for a caller that waits for the answer. If later is set, a hash that takes too
// long is made afterwards, and going reports that it is on its way.
func (b *Broker) pairInTime(ctx context.Context, e *engine.Engine, a config.Application, change *shadowsync.Change, token []*os.File, later bool) (going bool, err error) {
	short, cancel := context.WithTimeout(ctx, pairWithin)
	defer cancel()
	err = b.proofs.Pair(short, e.Reconciler(a.Name), change, token)
	if err != nil {
		b.log.Warn("the store's hash could not be made", "account", change.Account, "error", err)
	}
	if later && len(token) == 1 && errors.Is(err, context.DeadlineExceeded) {
		going = b.pairLater(ctx, e, a, *change, token[0])
	}
	return going, err
}

// overwritten reports whether the OS already holds another password than the announced one: an
// application that is just starting may have written its old one over it. This is checked only if
// another process wrote the file last, because the proof costs as much as a login.
func (b *Broker) overwritten(ctx context.Context, peer socket.Peer, osHash string, token []*os.File) bool {
	by, known := b.writers.wrote()
	if len(token) == 0 || !known || by.PID == peer.PID {
		return false
	}
	return errors.Is(proof.Check(ctx, token[0], osHash), proof.ErrNotProven)
}
