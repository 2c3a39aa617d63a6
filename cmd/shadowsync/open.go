package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// A person waits at the terminal: these are bounds of patience, not of work.
const (
	storeTimeout  = 4 * time.Second // for each call to a store
	lockTimeout   = 8 * time.Second // for the engine lock
	logoutTimeout = 5 * time.Second // for all sessions of one command to end
	busTimeout    = 2 * time.Second // for systemd to tell a unit's state
)

// load reads the configuration.
func (a *app) load() (*config.Config, error) {
	if a.uid != 0 {
		return nil, fmt.Errorf("cannot read the configuration: %w", notRootError{})
	}
	return config.Load(a.root, a.config)
}

// collectLate is how much the heap may grow, in percent, before it is collected. A
// command is over soon: with Go's 100 it collects while a person waits what the
// end of the process gives back anyhow.
const collectLate = 400

// open opens the engine. The caller closes it.
func (a *app) open(ctx context.Context) (*engine.Engine, error) {
	debug.SetGCPercent(collectLate)
	c, err := a.load()
	if err != nil {
		return nil, err
	}
	o := engine.Options{Root: a.root, Config: c, StoreTimeout: storeTimeout, Guard: noGuard{}, Sessions: noSessions{}, Probe: faultProbe()}
	if !a.mounted() {
		o.Guard, o.Sessions = a.guard(c), sessions.Sessions{}
	}
	e, err := engine.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, application := range c.Applications {
		r := e.Reconciler(application.Name)
		r.Lock = patience{r.Lock}
	}
	return e, nil
}

// with opens the engine, runs do on it and closes it.
func (a *app) with(ctx context.Context, do func(*engine.Engine) error) error {
	e, err := a.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(e), e.Close())
}

// guard is the restart guard of the running system.
func (a *app) guard(c *config.Config) *systemd.Guard {
	return systemd.NewGuard(&systemd.Bus{}).WithLimit(time.Duration(c.Guard.Limit))
}

// hasState tells whether anything is on record. Opening the state would make it,
// and to look must not change anything.
func (a *app) hasState() (bool, error) {
	_, err := os.Stat(filepath.Join(a.root, engine.StateDir, state.FileName))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// patience bounds the wait for the engine lock alone, not the work under it.
type patience struct{ shadowsync.Locker }

func (p patience) Acquire(ctx context.Context) (shadowsync.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	return p.Locker.Acquire(ctx)
}

// ourselves is the origin of what this process does by a person's wish.
func ourselves(e *engine.Engine) shadowsync.Origin {
	return e.OriginOf(origin.FromPID(os.Getpid()), shadowsync.SeenByTool)
}

// noticed is the origin of a difference that a command of ours comes across: it
// was not seen when it was made, and who looks at it now did not make it.
func noticed() shadowsync.Origin {
	return shadowsync.Origin{SeenBy: shadowsync.SeenByStart}
}
