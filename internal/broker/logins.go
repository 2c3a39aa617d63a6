package broker

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// mostLogins bounds the concurrent proofs, each in a process that computes a hash. The others get
// their turn at their next login.
const mostLogins = 4

// logins are the accounts for which a login's proof is being made.
type logins struct {
	busy
	all sync.WaitGroup
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
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keeper.SettleWithin)
		defer cancel()
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
	if open == nil || open.State != shadowsync.NeedsLogin {
		return nil // the PAM module's list was older than the state
	}
	formats := e.Reconciler(a.Name).Store.Capabilities().Formats
	hash, err := proof.Translate(ctx, formats, open.OS.Hash, token)
	var taken bool
	refused := (*shadowsync.RefusedError)(nil)
	switch {
	case errors.Is(err, proof.ErrNotProven):
		return nil // not the OS's password: for example, a directory's was asked for
	case errors.As(err, &refused) && memory.Accounts[user].AtStake():
		taken, err = e.Reconciler(a.Name).Unfit(ctx, user, open.OS.Hash, refused.Reason, login)
	case err != nil || hash == "":
		return err
	default:
		taken, err = e.Reconciler(a.Name).Prove(ctx, user, open.OS.Hash, hash, login)
	}
	if err != nil || !taken {
		return err
	}
	b.keepers[a.Name].Tell(keeper.Noticed)
	return nil
}

// pairLater makes the store's hash of a change that the announcer could not wait for. If the broker
// ends first, the account's next login brings the clear text.
func (b *Broker) pairLater(ctx context.Context, e *engine.Engine, a config.Application, change shadowsync.Change, token *os.File) {
	own, err := socket.Duplicate(token)
	task := change.Account + "/" + a.Further() // an account's name has no slash
	if err != nil || !b.logins.begin(task, mostLogins) {
		b.log.Warn("the store's hash waits for a login", "account", change.Account, "error", err)
		socket.CloseAll([]*os.File{own})
		return
	}
	b.logins.all.Go(func() {
		defer b.logins.end(task)
		defer own.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keeper.SettleWithin)
		defer cancel()
		formats := e.Reconciler(a.Name).Store.Capabilities().Formats
		hash, err := proof.Translate(ctx, formats, change.OS.Hash, []*os.File{own})
		taken := false
		if err == nil && hash != "" {
			taken, err = e.Reconciler(a.Name).Prove(ctx, change.Account, change.OS.Hash, hash, change.Origin)
		}
		if err != nil {
			b.log.Warn("the store's hash could not be made", "account", change.Account, "error", err)
		}
		if taken {
			b.keepers[a.Name].Tell(keeper.Noticed)
		}
	})
}
