package operators

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// persist writes the change to the store, which the PAM module's announcement has usually done
// already. If that fails, the OS side is put back.
func (o *Server) persist(ctx context.Context, c *call, e *Errand, a config.Application, former shadowsync.Account, fresh *os.File) error {
	ctx = context.WithoutCancel(ctx) // a change that has begun is finished even if the operator hangs up
	_, outcomes := e.Result()
	if len(outcomes) == 0 || engine.Worst(outcomes).State != shadowsync.InSync {
		now, err := o.announce(ctx, a, former.Name, e, fresh)
		if err != nil {
			now = []engine.Settled{{Holder: a, Outcome: shadowsync.Outcome{Account: former.Name, State: shadowsync.Pending, Reason: err.Error()}}}
		}
		outcomes = now
	}
	if err := outcomeError(engine.Worst(outcomes)); err != nil {
		return o.putBack(ctx, c, e.undoing(former), err)
	}
	o.age(ctx, c, a, former.Name)
	return nil
}

// undoing is the change that takes the errand's back. It replaces only the errand's own hash: it
// changes nothing if another password was set since, or if the errand's hash was never read.
func (e *Errand) undoing(former shadowsync.Account) shadowsync.Change {
	hash, _ := e.Result()
	back := shadowsync.Change{Account: former.Name, OS: former.Credential, Fields: shadowsync.FieldsPassword, Over: cmp.Or(hash, former.Hash), Origin: e.Origin()}
	if former.Locked { // the new password unlocked it; if it was not locked, a lock set meanwhile is not the errand's
		back.Fields |= shadowsync.FieldLocked
	}
	return back
}

// stores returns the keepers of an application's stores.
func (o *Server) stores(a config.Application) keeper.Group {
	return keeper.Of(o.Keepers, o.engine.Config, a)
}

// announce tells the keepers that the errand's password is on the OS side.
func (o *Server) announce(ctx context.Context, a config.Application, user string, e *Errand, fresh *os.File) ([]engine.Settled, error) {
	account, err := o.present(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("a changed account cannot be read: %w", err)
	}
	if !e.Found(account.Hash) {
		return nil, errOvertaken
	}
	var changes []shadowsync.Change
	holders := o.engine.Config.Holders(a)
	for _, h := range holders {
		change := shadowsync.Change{Account: user, OS: account.Credential, Origin: e.Origin()}
		if _, lent := o.engine.Config.Lender(h); lent {
			changes = append(changes, change)
			continue
		}
		if err := o.Proofs.Pair(ctx, o.engine.Reconciler(h.Name), &change, []*os.File{fresh}); err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	o.engine.Lend(holders, changes)
	outcomes, _ := o.stores(a).Changed(ctx, changes)
	return outcomes, nil
}
