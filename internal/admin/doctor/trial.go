package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// Trial says how to try a store.
type Trial struct {
	Config *config.Config
	File   string // the configuration's path, for the commands that are named
	Root   string
	// Account is an account of the store that may get another value for a moment. Empty: every value
	// stays, and the managed accounts are written as they are.
	Account string
}

// Tried is what became of trying one store.
type Tried struct {
	Store  string    `json:"store"`
	Driver string    `json:"driver"`
	Checks []Finding `json:"checks"`
}

// attempt is one store while it is tried.
type attempt struct {
	Trial
	holder  config.Application
	options store.Options
	driver  driver.Driver
	store   shadowsync.CredentialStore
	bus     *systemd.Bus

	held map[string]shadowsync.Credential // the accounts to write, as the store has them
	said []Finding
}

// Try tries the store of a holder end to end. Each finding is of what was just done; a step that could
// not be tried, because an earlier one failed, has none. The error is of the trial itself.
func (t Trial) Try(ctx context.Context, holder config.Application) (Tried, error) {
	o, err := store.Parse(holder.Store)
	if err != nil {
		return Tried{}, err
	}
	d, err := store.Find(o.Driver)
	if err != nil {
		return Tried{}, err
	}
	// Only the step for it reloads the server.
	noReload := func(context.Context, string, time.Duration) error { return nil }
	r := engine.Rehearse(engine.Options{Root: t.Root, Config: t.Config, StoreTimeout: storeTimeout, ReloadUnit: noReload}, nil)
	s, err := r.Store(holder, nil)
	if err != nil {
		return Tried{}, err
	}
	defer s.Close()
	run := &attempt{Trial: t, holder: holder, options: o, driver: d, store: s, bus: &systemd.Bus{}}
	for _, step := range []func(context.Context) bool{run.read, run.values, run.rehearses, run.swaps, run.writes, run.reloads} {
		if err := ctx.Err(); err != nil {
			return Tried{}, fmt.Errorf("cannot finish the trial: %w", err)
		}
		if !step(ctx) {
			break
		}
	}
	return Tried{holder.Name, o.Driver, run.said}, nil
}

// say notes what a step found, and reports whether the next one can be tried.
func (t *attempt) say(name string, v verdict) bool {
	t.said = append(t.said, v.finding(name))
	return v.state != Fail
}

// names are the accounts that the trial is about.
func (t *attempt) names() []string {
	if t.Account != "" {
		return []string{t.Account}
	}
	return t.holder.Accounts
}

func (t *attempt) read(ctx context.Context) bool {
	snapshot, err := t.store.Read(ctx, t.names())
	if err != nil {
		return t.say("read", t.explain(err))
	}
	t.held = map[string]shadowsync.Credential{}
	for name, account := range snapshot.Accounts {
		t.held[name] = account.Credential
	}
	v := assessStore(t.File, t.trialled(), snapshot, nil)
	if v.state == OK {
		v = pass("%s found", plural.Count(len(t.held), "account"))
	}
	t.say("read", v)
	return len(t.held) > 0
}

// trialled is the holder with the accounts of the trial.
func (t *attempt) trialled() config.Application {
	a := t.holder
	a.Accounts = t.names()
	return a
}

// values compares the values that are there with the scheme and the formats that are configured.
func (t *attempt) values(context.Context) bool {
	of := t.store.Capabilities()
	var other, dear []string
	for _, name := range slices.Sorted(maps.Keys(t.held)) {
		switch value := t.held[name].Hash; {
		case value == "" || t.fits(of, value):
		case costly(of, value):
			dear = append(dear, name)
		default:
			other = append(other, name)
		}
	}
	what := "crypt(3)"
	if of.Opaque() {
		what = "the scheme " + of.Scheme
	}
	if len(other) > 0 {
		return t.say("scheme", fail("not a value of %s: that of %s", what, strings.Join(other, ", ")).
			person(`compare with what the application makes, and set "scheme" or "formats"`, "editor "+t.File))
	}
	if len(dear) > 0 {
		return t.say("scheme", warn("too costly to verify, so that a new value has the configured cost: that of %s", strings.Join(dear, ", ")))
	}
	return t.say("scheme", pass("the values are of %s, as configured", what))
}

func (t *attempt) fits(of shadowsync.Capabilities, value string) bool {
	if of.Opaque() {
		return read(of, value) == nil
	}
	c := shadowsync.Credential{Hash: value}
	return c.Kind() != shadowsync.KindPassword || format.Identify(value) != format.Unknown && of.Formats.Accept(value)
}

// costly reports whether a value is of the scheme, and beyond the limits of what shadowsync computes.
func costly(of shadowsync.Capabilities, value string) bool {
	return of.Opaque() && errors.Is(read(of, value), format.ErrTooCostly)
}

func read(of shadowsync.Capabilities, value string) error {
	s, err := scheme.Find(of.Scheme)
	if err == nil {
		err = s.Read(value)
	}
	return err
}

// rehearses does all of a write and undoes it, where the store can: it shows whether the rights suffice.
func (t *attempt) rehearses(ctx context.Context) bool {
	r, ok := t.store.(driver.Rehearser)
	if !ok {
		return true
	}
	switch err := r.Rehearse(ctx); {
	case errors.Is(err, driver.ErrNoRehearsal):
		return true
	case err != nil:
		return t.say("rights", t.explain(err))
	}
	return t.say("rights", pass("a write was tried and left no trace"))
}
