package doctor

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/setup"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/systemd"
)

// storeTimeout bounds a call to a store.
const storeTimeout = 5 * time.Second

// check is one thing to look at.
type check struct {
	name string
	look func(context.Context, *exam) verdict
	// wired is for what setup has made: without a configuration there is nothing to
	// look at, and nothing that --fix may bring back after a remove.
	wired bool
}

// checks lists them all. What a later one needs, an earlier one has checked, and mended.
var checks = []check{
	{name: "clock", look: checkClock},
	{name: "disk", look: checkDisk},
	{name: "shadow-file", look: checkShadowFile},
	{name: "locks", look: checkLocks},
	{name: "nsswitch", look: checkNSSwitch},
	{name: "configuration", look: checkConfiguration},
	{name: "state-folder", look: checkStateFolder},
	{name: "state", look: checkState},
	{name: "audit", look: checkAudit},
	{name: "accounts", look: checkAccounts, wired: true},
	{name: "shells", look: checkShells, wired: true},
	{name: "store", look: checkStore, wired: true},
	{name: "baseline", look: checkBaseline, wired: true},
	{name: "program", look: checkProgram},
	{name: "units", look: checkUnits},
	{name: "drop-ins", look: checkDropIns, wired: true},
	{name: "loaded", look: checkLoaded, wired: true},
	{name: "enabled", look: checkEnabled, wired: true},
	{name: "running", look: checkRunning, wired: true},
	{name: "broker", look: checkBroker, wired: true},
	{name: "managed", look: checkManaged, wired: true},
	{name: "guard", look: checkGuards, wired: true},
	{name: "pam-module", look: checkModule},
	{name: "pam-profile", look: checkProfile},
	{name: "pam-line", look: checkLine, wired: true},
	{name: "pam-judge", look: checkJudge, wired: true},
	{name: "pam-login", look: checkLogin, wired: true},
	{name: "pam-change", look: checkChange, wired: true},
}

// exam is what the checks share. What cannot be read is nil, and its own check says why.
type exam struct {
	Options
	bus       *systemd.Bus
	config    *config.Config
	configErr error
	state     *state.DB
	stateErr  error
}

func newExam(o Options) *exam {
	o.Config = cmp.Or(o.Config, config.DefaultPath)
	o.Binary = cmp.Or(o.Binary, systemd.DefaultBinary)
	return &exam{Options: o, bus: &systemd.Bus{}}
}

// load reads again what an earlier check may have mended.
func (e *exam) load(ctx context.Context) {
	e.config, e.configErr = config.Load("/", e.Config)
	if e.state == nil {
		e.state, e.stateErr = openState(ctx)
	}
}

// openState opens a state that is there: state.Open would make one.
func openState(ctx context.Context) (*state.DB, error) {
	if _, err := os.Stat(statePath); err != nil {
		return nil, err
	}
	return state.Open(ctx, engine.StateDir)
}

var statePath = filepath.Join(engine.StateDir, state.FileName)

func (e *exam) close() {
	if e.state != nil {
		_ = e.state.Close() // nothing was written
	}
}

// repair runs steps of setup.
func (e *exam) repair(names ...setup.Name) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := setup.Repair(ctx, setup.Options{Config: e.Config, Binary: e.Binary}, names...)
		return err
	}
}

// systemctl runs systemctl(1) with these arguments.
func systemctl(args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := setup.Systemctl(ctx, args...)
		return err
	}
}

// each runs a check on every application of the configuration.
func (e *exam) each(good string, look func(config.Application) verdict) verdict {
	if e.config == nil {
		return notChecked("the configuration cannot be read")
	}
	var found []verdict
	for _, a := range e.config.Applications {
		found = append(found, look(a))
	}
	return join(good, found...)
}
