package engine

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state/backup"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// SystemOf describes what a backup of the system at root contains: the state, and each embedded
// store once. open opens the stores; nil: as a child process if the driver asks for one.
func SystemOf(root string, c *config.Config, open func(context.Context, config.Application, store.Options) (shadowsync.CredentialStore, error)) (backup.System, error) {
	if open == nil {
		open = func(ctx context.Context, _ config.Application, o store.Options) (shadowsync.CredentialStore, error) {
			return storeworker.Open(ctx, o)
		}
	}
	folder, err := inroot.OpenFolder(root, StateDir)
	if err != nil {
		return backup.System{}, err
	}
	s := backup.System{Root: root, Dir: StateDir, Folder: folder, Key: FactorKey(root, c)}
	taken := map[string]bool{}
	for _, a := range c.Applications {
		o, d, err := storeOf(a)
		if err != nil {
			return s, errors.Join(err, folder.Close())
		}
		if d.Image == nil {
			continue
		}
		o.Root, o.Path = root, cmp.Or(o.Path, d.Image.Default)
		if taken[o.Path] {
			continue
		}
		taken[o.Path] = true
		s.Stores = append(s.Stores, backup.Store{
			Application: a.Name, Image: d.Image,
			Make: func(ctx context.Context) (func() error, error) { return makeStore(ctx, d, o) },
			Open: func(ctx context.Context) (driver.Embedded, error) {
				if d.Placement(o) == driver.InProcess {
					return embeddedStore(d.Open(ctx, o))
				}
				return embeddedStore(open(ctx, a, o))
			},
		})
	}
	return s, nil
}

func storeOf(a config.Application) (o store.Options, d driver.Driver, err error) {
	if o, err = store.Parse(a.Store); err == nil {
		d, err = store.Find(o.Driver)
	}
	return o, d, err
}

func embeddedStore(s shadowsync.CredentialStore, err error) (driver.Embedded, error) {
	if err != nil {
		return nil, err
	}
	e, ok := s.(driver.Embedded)
	if !ok {
		return nil, errors.Join(driver.Malformed("the store cannot be read as a whole"), s.Close())
	}
	return e, nil
}

// makeStore creates a missing store, as setup does.
func makeStore(ctx context.Context, d driver.Driver, o store.Options) (undo func() error, err error) {
	nothing := func() error { return nil }
	if _, err := inroot.Lstat(o.Root, o.Path); !errors.Is(err, os.ErrNotExist) {
		return nothing, err
	}
	folder := filepath.Dir(o.Path)
	_, err = inroot.Lstat(o.Root, folder)
	alone := errors.Is(err, os.ErrNotExist) // the folder is missing too
	undo = func() error {
		err := inroot.RemoveFile(o.Root, o.Path)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		if alone {
			_ = inroot.RemoveFolder(o.Root, folder) // only if it is empty
		}
		return err
	}
	if err := d.Prepare(ctx, o); err != nil {
		return nothing, errors.Join(err, undo())
	}
	return undo, nil
}

// mending is the engine lock. The first process that takes it after an interrupted restore finishes
// that restore, so that no process reconciles a state with stores from another time.
type mending struct {
	shadowsync.Locker
	engine *Engine
	system backup.System
}

func (m mending) Acquire(ctx context.Context) (shadowsync.Lease, error) {
	lease, err := m.Locker.Acquire(ctx)
	if err != nil || !m.system.Interrupted() {
		return lease, err
	}
	said, err := m.system.Resume(ctx)
	if err == nil && said != "" {
		m.engine.mended.Store(&said)
		by := OriginOf(m.engine.root, origin.FromPID(os.Getpid()), shadowsync.SeenByStart)
		err = m.engine.Audit(ctx, shadowsync.Event{At: by.At, Action: "restore-resumed", Reason: said, Origin: by})
	}
	if err != nil {
		lease.Release()
		return nil, err
	}
	return lease, nil
}

// Mend finishes or undoes an interrupted restore, and says what it did; empty: there was none.
func (e *Engine) Mend(ctx context.Context) (said string, err error) {
	lock, ok := e.lock.(mending)
	if !ok || !lock.system.Interrupted() {
		return "", nil
	}
	lease, err := e.lock.Acquire(ctx)
	if err != nil {
		return "", err
	}
	lease.Release()
	if text := e.mended.Load(); text != nil {
		said = *text
	}
	return said, nil
}
