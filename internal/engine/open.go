package engine

import (
	"context"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
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
	can := closed.Capabilities()
	can.Cost, can.As = o.Cost, o.As
	l := &link{capabilities: can, timeout: e.options.StoreTimeout, turn: make(chan struct{}, 1)}
	if o.ReloadUnit != "" && inroot.Live(e.root) {
		l.reload = &reloader{unit: o.ReloadUnit, do: e.options.ReloadUnit, wait: e.options.StoreTimeout, pause: d.PauseBeforeReload(o)}
		if l.reload.do == nil {
			l.reload.do = (&systemd.Bus{}).ReloadUnit
		}
	}
	l.open = func(ctx context.Context) (shadowsync.CredentialStore, error) { return storeworker.Open(ctx, o) }
	if d.Placement(o) == driver.NetworkWorker {
		l.open = func(ctx context.Context) (shadowsync.CredentialStore, error) { return openInUnit(ctx, o) }
	}
	if open := e.options.OpenStore; open != nil && d.Placement(o) != driver.InProcess {
		l.open = func(ctx context.Context) (shadowsync.CredentialStore, error) { return open(ctx, a, o) }
	}
	return l, nil
}

// unitTime ends the unit of a store that this process opened, whatever happens to this process.
const unitTime = time.Hour

// openInUnit opens a store in a server. Its worker is no child of this process: that may be a hook, whose
// sandbox has no network, and systemd decrypts a credential only for a unit. Where there is no systemd to
// ask, a child must do.
func openInUnit(ctx context.Context, o store.Options) (shadowsync.CredentialStore, error) {
	credential := o.Text(driver.Credential.Name)
	equipped, err := storeworker.Equip(ctx, o, storeworker.LookupBy(startResolver))
	if err != nil {
		return nil, err
	}
	reach, err := storeworker.Reach(equipped)
	if err != nil {
		return nil, err
	}
	p, err := startHelper(ctx, storeworker.Command.Name, systemd.HelperUnit{
		Name: sent.Name("store-"), What: "Credential store", Deadline: unitTime, Network: true, Reach: reach, Credential: credential,
	})
	if err != nil && credential == "" {
		return storeworker.Open(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	client, err := storeworker.Attach(ctx, p, equipped)
	if err != nil {
		return nil, worker.Started(credential, err) // not client: a nil *Client would make a non-nil interface
	}
	return client, nil
}

// startResolver starts a process that finds the address of a store's server.
func startResolver(ctx context.Context) (*worker.Process, error) {
	return startHelper(ctx, storeworker.ResolveCommand.Name, systemd.HelperUnit{
		Name: sent.Name("resolve-"), What: "Address of a credential store", Deadline: 2 * storeworker.ResolveWithin, Network: true,
	})
}
