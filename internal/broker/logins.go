package broker

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/proof"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// mostLogins bounds the proofs that are made at a time, each in a process that
// computes a hash. The others' turn comes with their next login.
const mostLogins = 4

// logins are the accounts whose proof is being made of a login.
type logins struct {
	busy
	all sync.WaitGroup
}

// authenticated takes what a login proved to a store that waits for it. The login
// waits for nothing of that; it tells whether the token is still in use, and closed later.
func (b *Broker) authenticated(ctx context.Context, peer socket.Peer, user string, token []*os.File) (inUse bool) {
	a, managed := b.engine.Load().Config.Managing(user)
	if !managed || len(token) == 0 || !b.logins.begin(user, mostLogins) {
		return false
	}
	login := b.who(peer)
	b.logins.all.Go(func() {
		defer b.logins.end(user)
		defer closeAll(token)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
		defer cancel()
		if err := b.prove(ctx, a, user, login, token); err != nil {
			b.log.Warn("a login could not be used for the store", "account", user, "error", err)
		}
	})
	return true
}

func (b *Broker) prove(ctx context.Context, a config.Application, user string, login shadowsync.Origin, token []*os.File) error {
	memory, err := b.engine.Load().State.Load(ctx, a.Name, []string{user})
	if err != nil {
		return err
	}
	open := memory.Accounts[user].Open
	if open == nil || open.State != shadowsync.NeedsLogin {
		return nil // the list was older than what is on record
	}
	formats := b.engine.Load().Reconciler(a.Name).Store.Capabilities().Formats
	hash, err := translate(ctx, formats, open.OS.Hash, token)
	var taken bool
	refused := (*shadowsync.RefusedError)(nil)
	switch {
	case errors.Is(err, proof.ErrNotProven):
		return nil // a directory's password, say: the OS's was not asked for
	case errors.As(err, &refused) && memory.Accounts[user].AtStake():
		taken, err = b.engine.Load().Reconciler(a.Name).Unfit(ctx, user, open.OS.Hash, refused.Reason, login)
	case err != nil || hash == "":
		return err
	default:
		taken, err = b.engine.Load().Reconciler(a.Name).Prove(ctx, user, open.OS.Hash, hash, login)
	}
	if err != nil || !taken {
		return err
	}
	b.keepers[a.Name].tell(noticed)
	return nil
}
