package engine

import (
	"context"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// newLink prepares an application's store. We must know what the store can hold even while it is
// unavailable, because otherwise a change would seem not to concern the store. A driver's Open does
// not touch the store yet.
func (e *Engine) newLink(a config.Application, o store.Options) (*link, error) {
	d, err := store.Find(o.Driver)
	if err != nil {
		return nil, err
	}
	o.Root = e.root
	ctx := context.Background()
	closed, err := d.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer closed.Close()
	l := &link{capabilities: closed.Capabilities(), timeout: e.options.StoreTimeout, turn: make(chan struct{}, 1)}
	l.open = func(ctx context.Context) (shadowsync.CredentialStore, error) { return storeworker.Open(ctx, o) }
	if open := e.options.OpenStore; open != nil && d.Placement(o) != driver.InProcess {
		l.open = func(ctx context.Context) (shadowsync.CredentialStore, error) { return open(ctx, a, o) }
	}
	return l, nil
}
