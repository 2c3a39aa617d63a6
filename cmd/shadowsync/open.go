package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// A person waits at the terminal: these limit how long they wait, not how long work takes.
const (
	storeTimeout  = 4 * time.Second // for each call to a store
	lockTimeout   = 8 * time.Second // for the engine lock
	logoutTimeout = 5 * time.Second // for all sessions of one command to end
	busTimeout    = 2 * time.Second // for systemd to tell a unit's state
)

// load reads the configuration, or the last good one and then prints a warning.
func (a *app) load() (*config.Config, error) {
	c, err := a.loadQuietly()
	if err == nil && c.Instead != nil && !a.warned {
		a.warned = true
		a.warn("%s", insteadOf(c))
		a.hint(a.named(checkHint))
	}
	return c, err
}

// loadQuietly is load without the warning.
func (a *app) loadQuietly() (*config.Config, error) {
	if a.uid != 0 {
		return nil, fmt.Errorf("cannot read the configuration: %w", notRootError{})
	}
	return engine.LoadConfig(a.root, a.config)
}

// insteadOf says that the last good configuration is used instead of the file.
func insteadOf(c *config.Config) string {
	return fmt.Sprintf("%v; going on with the last good configuration, kept at %s", c.Instead, clock(c.KeptAt))
}

// collectLate is how much the heap may grow, in percent, before garbage collection. A command ends
// soon: with Go's default of 100 a person would wait while it frees memory that the end of the
// process frees anyway.
const collectLate = 400

// open opens the engine. The caller closes it.
func (a *app) open(ctx context.Context, look bool) (*engine.Engine, error) {
	o, err := a.options()
	if err != nil {
		return nil, err
	}
	o.Look = look
	e, err := engine.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := a.mend(ctx, e); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return bePatient(e), nil
}

// options returns the options for opening the engine.
func (a *app) options() (engine.Options, error) {
	debug.SetGCPercent(collectLate)
	c, err := a.load()
	o := engine.Options{
		Root: a.root, Config: c, Program: "shadowsync", StoreTimeout: storeTimeout, Guard: engine.NoGuard{}, Sessions: noSessions{}, Probe: faultProbe(),
	}
	if err == nil && !a.mounted() {
		o.Guard, o.Sessions = a.guard(c), sessions.Sessions{}
	}
	return o, err
}

func bePatient(e *engine.Engine) *engine.Engine {
	for _, application := range e.Config.Applications {
		r := e.Reconciler(application.Name)
		r.Lock = patience{r.Lock}
	}
	_ = e.KeepConfig() // doctor reports if it cannot be kept
	return e
}

// mend finishes or forgets an interrupted restore and prints which.
func (a *app) mend(ctx context.Context, e *engine.Engine) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	said, err := e.Mend(ctx)
	if said != "" {
		a.warn("%s", said)
	}
	return err
}

// with opens the engine, runs do on it and closes it.
func (a *app) with(ctx context.Context, do func(*engine.Engine) error) error {
	return a.using(ctx, false, do)
}

// looking is with for commands that only show; it works on a full or read-only disk too.
func (a *app) looking(ctx context.Context, do func(*engine.Engine) error) error {
	return a.using(ctx, true, do)
}

func (a *app) using(ctx context.Context, look bool, do func(*engine.Engine) error) error {
	e, err := a.open(ctx, look)
	if err != nil {
		return err
	}
	return errors.Join(do(e), e.Close())
}

// mending is with, but recreates a damaged state.
func (a *app) mending(ctx context.Context, do func(*engine.Engine) error) error {
	o, err := a.options()
	if err != nil {
		return err
	}
	return engine.Mending(ctx, o, func(e *engine.Engine) error { return do(bePatient(e)) })
}

// guard is the restart guard of the running system.
func (a *app) guard(c *config.Config) *systemd.Guard {
	return systemd.NewGuard(&systemd.Bus{}).WithLimit(time.Duration(c.Guard.Limit))
}

// guardOf returns the guard of an application's unit; empty if it cannot be read.
func (a *app) guardOf(c *config.Config, application config.Application) systemd.GuardStatus {
	if a.mounted() {
		return systemd.GuardStatus{}
	}
	status, _ := a.guard(c).Status(application.Unit)
	return status
}

// hasState reports whether the state file exists. Opening the state would create it, and showing
// must not change anything.
func (a *app) hasState() (bool, error) {
	_, err := inroot.Stat(a.root, engine.StateDir+"/"+state.FileName)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// patience limits the wait for the engine lock, not the work under it.
type patience struct{ shadowsync.Locker }

func (p patience) Acquire(ctx context.Context) (shadowsync.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	return p.Locker.Acquire(ctx)
}

// ourselves is the origin of a change that a person makes with this process.
func ourselves(e *engine.Engine) shadowsync.Origin {
	return e.OriginOf(origin.FromPID(os.Getpid()), shadowsync.SeenByTool)
}

// noticed is the origin of a difference that a command finds: the change was not seen when it was
// made, and the person who runs this command did not make it.
func noticed() shadowsync.Origin {
	return shadowsync.Origin{SeenBy: shadowsync.SeenByStart}
}
