package doctor

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/systemd"
)

// storeTimeout limits a call to a store.
const storeTimeout = 5 * time.Second

// check is one check.
type check struct {
	name string
	look func(context.Context, *exam) verdict
	// wired marks a check of what setup has made: without a configuration there is nothing to
	// check, and --fix must not restore anything after a remove.
	wired bool
	// page marks a check of the page for browsers, which is left out where there is none.
	page bool
}

// checks lists all checks. Each check relies on what earlier ones have checked and repaired.
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
	{name: "protected", look: checkProtected, wired: true},
	{name: "directory", look: checkDirectory, wired: true},
	{name: "factors", look: checkFactors, wired: true},
	{name: "mail", look: checkMail, wired: true},
	{name: "shells", look: checkShells, wired: true},
	{name: "store", look: checkStore, wired: true},
	{name: "reload", look: checkReload, wired: true},
	{name: "baseline", look: checkBaseline, wired: true},
	{name: "waiting", look: checkWaiting, wired: true},
	{name: "program", look: checkProgram},
	{name: "units", look: checkUnits},
	{name: "drop-ins", look: checkDropIns, wired: true},
	{name: "loaded", look: checkLoaded, wired: true},
	{name: "enabled", look: checkEnabled, wired: true},
	{name: "running", look: checkRunning, wired: true},
	{name: "start-hook", look: checkStartHook, wired: true},
	{name: "broker", look: checkBroker, wired: true},
	{name: "managed", look: checkManaged, wired: true},
	{name: "guard", look: checkGuards, wired: true},
	{name: "alarms", look: checkAlarms, wired: true},
	{name: "notify", look: checkNotify, wired: true},
	{name: "pam-module", look: checkModule},
	{name: "pam-profile", look: checkProfile},
	{name: "pam-line", look: checkLine, wired: true},
	{name: "pam-judge", look: checkJudge, wired: true},
	{name: "pam-login", look: checkLogin, wired: true},
	{name: "pam-factor", look: checkServices, wired: true},
	{name: "sshd", look: checkSSHD, wired: true},
	{name: "web-account", look: checkWebAccount, page: true},
	{name: "web-pam", look: checkWebService, page: true},
	{name: "web-address", look: checkWebAddress, page: true},
	{name: "web-proxies", look: checkWebProxies, page: true},
	{name: "web-certificate", look: checkWebCertificate, page: true},
	{name: "web-broker", look: checkWebBroker, page: true},
	{name: "web", look: checkWeb, wired: true},
	{name: "pam-change", look: checkChange, wired: true},
	// This is the last check, because it replaces /etc/shadow, and the broker then rewrites its own
	// files.
	{name: "writable", look: checkWritable, wired: true},
}

// exam is the data that the checks share. What cannot be read is nil; its own check reports why.
type exam struct {
	Options
	bus       *systemd.Bus
	config    *config.Config // the last good one if the file is not usable
	configErr error          // error of the file
	state     *state.DB
	stateErr  error
}

func newExam(o Options) *exam {
	o.Config = cmp.Or(o.Config, config.DefaultPath)
	o.Binary = cmp.Or(o.Binary, systemd.DefaultBinary)
	return &exam{Options: o, bus: &systemd.Bus{}}
}

// load reads again what an earlier check may have repaired.
func (e *exam) load(ctx context.Context) {
	e.config, e.configErr = engine.LoadConfig("/", e.Config)
	if e.configErr == nil {
		e.configErr = e.config.Instead
	}
	if e.state == nil {
		e.state, e.stateErr = openState(ctx)
	}
}

// openState opens an existing state; state.Open would create a missing one.
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

// each runs a check on every store of every application of the configuration.
func (e *exam) each(good string, look func(config.Application) verdict) verdict {
	return e.eachOf(func(c *config.Config) []config.Application { return c.Applications }, good, look)
}

// eachUnit runs a check on every application, whose stores share its unit and its accounts.
func (e *exam) eachUnit(good string, look func(config.Application) verdict) verdict {
	return e.eachOf((*config.Config).Firsts, good, look)
}

func (e *exam) eachOf(list func(*config.Config) []config.Application, good string, look func(config.Application) verdict) verdict {
	if e.config == nil {
		return notChecked("the configuration cannot be read")
	}
	var found []verdict
	for _, a := range list(e.config) {
		found = append(found, look(a))
	}
	return join(good, found...)
}
