package engine

import (
	"context"
	"errors"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Rehearsal shows what reconciles would do with a state that a restore is about to install.
type Rehearsal struct {
	engine *Engine
	state  *state.DB
}

// Rehearse begins a rehearsal, which writes nothing anywhere. The caller still owns the state.
func Rehearse(o Options, db *state.DB) *Rehearsal {
	return &Rehearsal{state: db, engine: &Engine{
		Config: o.Config, root: o.Root, options: o, Accounts: shadowfile.Open(o.Root),
		Protect: protect.New(protect.Options{
			Root: o.Root, Groups: o.Config.Protected.Groups, Admins: o.Config.AdminGroups(), Ask: o.AskSudo,
		}),
	}}
}

// OS returns what the OS holds for an application's accounts.
func (r *Rehearsal) OS(ctx context.Context, a config.Application) (shadowsync.OSSnapshot, error) {
	return r.engine.Accounts.Read(ctx, a.Accounts)
}

// Store returns an application's store with the content that the restore would give it; without
// rows, the store as it is. The caller closes it.
func (r *Rehearsal) Store(a config.Application, rows map[string]driver.Row) (shadowsync.CredentialStore, error) {
	options, err := store.Parse(a.Store)
	if err != nil {
		return nil, err
	}
	l, err := r.engine.newLink(a, options)
	if err != nil {
		return nil, err
	}
	if rows == nil {
		return l, nil
	}
	return restored{l, rows}, nil
}

// Reconcile reports what a reconcile would do.
func (r *Rehearsal) Reconcile(ctx context.Context, a config.Application, s shadowsync.CredentialStore, req shadowsync.Request) (shadowsync.Report, error) {
	req.DryRun, req.Force = true, true
	reconciler := &shadowsync.Reconciler{
		Application: r.engine.Config.Domain(a), Accounts: r.engine.Accounts, Store: s, State: r.state,
		Protected: r.engine.protected, CheckHash: taken(a), Now: time.Now, Occupied: r.engine.occupied,
	}
	return reconciler.Reconcile(ctx, req)
}

// restored is a store as it will be after the restore; it can only be read.
type restored struct {
	*link
	rows map[string]driver.Row
}

var errRehearsal = errors.New("a rehearsal writes nothing")

func (s restored) Revision(context.Context) (string, error) { return "restored", nil }

func (s restored) Read(_ context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	snapshot := shadowsync.StoreSnapshot{Revision: "restored", Accounts: map[string]shadowsync.StoredAccount{}, Malformed: map[string]string{}}
	for _, name := range names {
		if row, ok := s.rows[name]; ok {
			snapshot.Accounts[name] = row.StoredAccount
		}
	}
	return snapshot, nil
}

func (s restored) Write(context.Context, []shadowsync.Write) (shadowsync.Unwritten, error) {
	return nil, errRehearsal
}

func (s restored) Watch(context.Context) (<-chan struct{}, error) { return nil, errRehearsal }
