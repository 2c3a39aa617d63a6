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
		if !run.do(ctx, step) {
			break
		}
	}
	return Tried{holder.Name, o.Driver, run.said}, nil
}

// do does a step. What fails because of a Ctrl-C is no fault of the store.
func (t *attempt) do(ctx context.Context, step func(context.Context) bool) bool {
	before := len(t.said)
	more := step(ctx)
	for i := range t.said[before:] {
		if f := &t.said[before+i]; ctx.Err() != nil && f.State == Fail {
			f.Detail, f.Fix = "interrupted", ""
		}
	}
	return more
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
	if s, is := t.server(); is && len(snapshot.Malformed) > 0 {
		v.command = t.client(s)
	}
	if missing := t.missing(snapshot); len(snapshot.Malformed) == 0 && missing != "" {
		v = fail("the store has no account %s", missing)
		if t.Account != "" {
			v = v.person("create it in the application, or name another one", "shadowsync store test "+t.holder.Name+" --account NAME")
		} else {
			v = v.person(`create them in the application, correct "as" or where the names are, or take them off "accounts"`, "editor "+t.File)
		}
	}
	if v.state == OK {
		v = pass("%s found", plural.Count(len(t.held), "account"))
	}
	t.say("read", v)
	return len(t.held) > 0
}

// missing are the accounts that the store does not hold, as it would spell them.
func (t *attempt) missing(snapshot shadowsync.StoreSnapshot) string {
	var missing []string
	for _, name := range t.names() {
		if _, there := snapshot.Accounts[name]; !there {
			missing = append(missing, t.store.Capabilities().Spelt(name))
		}
	}
	return strings.Join(missing, ", ")
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
	switch {
	case of.Opaque():
		what = "the scheme " + of.Scheme
	case len(of.Formats) > 0:
		what = `the "formats" of crypt(3)`
	}
	if len(other) > 0 {
		return t.say("scheme", fail("not a value of %s: that of %s%s", what, strings.Join(other, ", "), t.couldBe(t.held[other[0]].Hash)).
			person(`compare with what the application makes, and set "scheme" or "formats"`, "editor "+t.File))
	}
	if len(dear) > 0 {
		return t.say("scheme", warn("too costly to verify, so that a new value has the configured cost: that of %s", strings.Join(dear, ", ")))
	}
	return t.say("scheme", pass("the values are of %s, as configured", what))
}

// couldBe names what may be configured for a value. That is no proof: several schemes read the same values.
func (t *attempt) couldBe(value string) string {
	var could []string
	if f := format.Identify(value); f != format.Unknown {
		could = append(could, "the format "+f.String())
	}
	for _, name := range t.driver.Traits.Schemes {
		if s, err := scheme.Find(name); err == nil && s.Read(value) == nil {
			could = append(could, "the scheme "+name)
		}
	}
	if len(could) == 0 {
		return ""
	}
	return " (it could be of " + strings.Join(could, ", or of ") + ")"
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
