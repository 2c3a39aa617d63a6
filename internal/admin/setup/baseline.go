package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// storeTimeout limits a call to a store. It is long because no passwd waits here, and the first
// start of a store may be slow.
const storeTimeout = 10 * time.Second

// SideView shows one side of an account to a person who must decide; it never contains a hash.
type SideView struct {
	Format     string `json:"format"`      // of the hash, as crypt(5) names it
	LastChange string `json:"last_change"` // a date, or why there is none
	Locked     bool   `json:"locked"`
}

func (v SideView) String() string {
	text := v.Format + ", last change " + v.LastChange
	if v.Locked {
		text += ", locked"
	}
	return text
}

// Difference is an account that OS and store hold differently, with no baseline that shows which
// side changed.
type Difference struct {
	Application string   `json:"application"`
	Account     string   `json:"account"`
	OS          SideView `json:"os"`
	Store       SideView `json:"store"`
	Reason      string   `json:"reason"`
}

// ErrUndecided means that a person must decide before a baseline can be taken. It matches every
// *FirstDifferenceError, and an *ImportError without another cause.
var ErrUndecided = errors.New("a person must decide")

// FirstDifferenceError stops setup: a person must say which side is right.
type FirstDifferenceError struct{ Differences []Difference }

func (e *FirstDifferenceError) Error() string {
	lines := []string{"OS and credential store differ, and nothing tells which is right:"}
	for _, d := range e.Differences {
		lines = append(lines,
			fmt.Sprintf("  %s (%s): %s", d.Account, d.Application, d.Reason),
			fmt.Sprintf("    OS:    %s", d.OS), fmt.Sprintf("    store: %s", d.Store))
	}
	return strings.Join(lines, "\n")
}

func (e *FirstDifferenceError) Unwrap() error { return ErrUndecided }

// ImportError is an account whose baseline cannot be taken, whichever side is right. It wraps
// shadowsync.ErrUnavailable or shadowsync.ErrMalformed if the store is the cause,
// shadowsync.ErrNoAccount if the account is gone, else ErrUndecided.
type ImportError struct {
	Application, Account, Reason string
	Kind                         error
}

func (e *ImportError) Error() string {
	return fmt.Sprintf("cannot take %s of %s as baseline: %s", e.Account, e.Application, e.Reason)
}

func (e *ImportError) Unwrap() error { return e.Kind }

func (j *job) baselineDue(ctx context.Context) (bool, error) {
	for _, a := range j.config.Applications {
		known, err := j.baselines(ctx, a)
		if err != nil || known < len(a.Accounts) {
			return true, err
		}
	}
	return false, nil
}

// baselines counts the application's accounts that have a baseline.
func (j *job) baselines(ctx context.Context, a config.Application) (int, error) {
	if !j.ledger.exists() {
		return 0, nil
	}
	db, err := j.ledger.open(ctx)
	if err != nil {
		return 0, err
	}
	memory, err := db.Load(ctx, a.Name, a.Accounts)
	if err != nil {
		return 0, err
	}
	known := 0
	for _, m := range memory.Accounts {
		if m.Baseline != nil {
			known++
		}
	}
	return known, nil
}

// takeBaseline checks all applications before it writes for any of them.
func (j *job) takeBaseline(ctx context.Context) error {
	e, err := j.openEngine(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	for _, dry := range []bool{true, false} {
		var differences []Difference
		for _, a := range j.config.Applications {
			found, err := j.take(ctx, e, a, dry)
			if err != nil {
				return err
			}
			differences = append(differences, found...)
		}
		if len(differences) > 0 {
			return &FirstDifferenceError{Differences: differences}
		}
	}
	return nil
}

// openEngine creates the embedded stores of applications without a baseline. If there is a baseline
// it never creates the store again, because a new one would be empty.
func (j *job) openEngine(ctx context.Context) (*engine.Engine, error) {
	for _, a := range j.config.Applications {
		known, err := j.baselines(ctx, a)
		if err != nil {
			return nil, err
		}
		if known > 0 {
			continue
		}
		if err := j.prepare(ctx, a); err != nil {
			return nil, fmt.Errorf("cannot make the credential store of %s: %w", a.Name, err)
		}
	}
	return engine.Open(ctx, engine.Options{
		Root: j.Root, Config: j.config, Program: "shadowsync setup", StoreTimeout: storeTimeout,
		// The broker is not wired yet, and setup must not hold the application back.
		Guard: engine.NoGuard{}, Sessions: noSessions{},
	})
}

func (j *job) prepare(ctx context.Context, a config.Application) error {
	// The state's folder also contains the embedded store; ledger.open creates it with the mode for
	// both.
	if _, err := j.ledger.open(ctx); err != nil {
		return err
	}
	options, err := store.Parse(a.Store)
	if err != nil {
		return err
	}
	options.Root = j.Root
	driver, err := store.Find(options.Driver)
	if err != nil {
		return err
	}
	return driver.Prepare(ctx, options)
}

// take imports the application's accounts that have no baseline yet. The others are reconciled as
// usual.
func (j *job) take(ctx context.Context, e *engine.Engine, a config.Application, dry bool) ([]Difference, error) {
	before, err := e.State.Load(ctx, a.Name, a.Accounts)
	if err != nil {
		return nil, err
	}
	req := j.request(a)
	req.DryRun = dry
	report, err := e.Reconcile(ctx, a.Name, req)
	if err != nil {
		return nil, err
	}
	differences, err := j.undecided(a, before, report)
	if err != nil || dry {
		return differences, err
	}
	for _, o := range report.Outcomes {
		if before.Accounts[o.Account].Baseline == nil {
			j.result.Accounts = append(j.result.Accounts, Imported{a.Name, o.Account, string(o.State), string(o.Verdict)})
		}
	}
	return differences, nil
}

// request is that of a first import. Of several stores, the first one is what --first store prefers: the
// others then take what it gave to the OS.
func (j *job) request(a config.Application) shadowsync.Request {
	first := j.First
	if first == shadowsync.StoreSide && !a.First() {
		first = shadowsync.OSSide
	}
	return shadowsync.Request{
		First: first, Create: true, Force: true,
		Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByStart, Program: "shadowsync setup"},
	}
}

// undecided returns the accounts without a baseline about which a person must decide. The error is
// of an account that cannot be imported, whatever a person decides.
func (j *job) undecided(a config.Application, before shadowsync.Memory, report shadowsync.Report) (differences []Difference, err error) {
	for _, o := range report.Outcomes {
		if before.Accounts[o.Account].Baseline != nil {
			continue
		}
		if o.Verdict == shadowsync.VerdictConflict && report.Fault == nil && j.First == shadowsync.Neither {
			differences = append(differences, difference(a, o))
		} else if err := importError(a, o, report.Fault); err != nil {
			return nil, err
		}
	}
	return differences, nil
}

// rehearseBaseline returns the error that takeBaseline would return. It writes nothing.
func (j *job) rehearseBaseline(ctx context.Context) (err error) {
	db, err := state.Glimpse(ctx, j.Root, engine.StateDir, engine.HeldDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r := engine.Rehearse(engine.Options{Root: j.Root, Config: j.config, StoreTimeout: storeTimeout}, db)
	var differences []Difference
	for _, a := range j.config.Applications {
		found, err := j.rehearse(ctx, r, db, a)
		if err != nil {
			return err
		}
		differences = append(differences, found...)
	}
	if len(differences) > 0 {
		return &FirstDifferenceError{Differences: differences}
	}
	return nil
}

func (j *job) rehearse(ctx context.Context, r *engine.Rehearsal, db *state.DB, a config.Application) ([]Difference, error) {
	before, err := db.Load(ctx, a.Name, a.Accounts)
	if err != nil {
		return nil, err
	}
	rows, err := j.content(a)
	if err != nil {
		return nil, err
	}
	s, err := r.Store(a, rows)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	report, err := r.Reconcile(ctx, a, s, j.request(a))
	if err != nil {
		return nil, err
	}
	return j.undecided(a, before, report)
}

// content is what an embedded store that setup has yet to create will hold: nothing. It is nil for
// every other store, which is read as it is.
func (j *job) content(a config.Application) (map[string]driver.Row, error) {
	options, err := store.Parse(a.Store)
	if err != nil {
		return nil, err
	}
	d, err := store.Find(options.Driver)
	if err != nil || d.Image == nil {
		return nil, err
	}
	if _, err := inroot.Stat(j.Root, cmp.Or(options.Path, d.Image.Default)); errors.Is(err, fs.ErrNotExist) {
		return map[string]driver.Row{}, nil
	}
	return nil, nil
}

// importError says why an account cannot be imported. An account that needs a login can: its OS
// side is known, and the store follows later.
func importError(a config.Application, o shadowsync.Outcome, fault *shadowsync.StoreFault) error {
	switch o.State {
	case shadowsync.InSync, shadowsync.Unproven, shadowsync.NeedsLogin, shadowsync.Queued:
		return nil
	}
	e := &ImportError{Application: a.Name, Account: o.Account, Reason: o.Reason, Kind: ErrUndecided}
	switch {
	case fault != nil && fault.Malformed:
		e.Kind = shadowsync.ErrMalformed
	case fault != nil, o.State == shadowsync.Pending:
		e.Kind = shadowsync.ErrUnavailable
	case o.State == shadowsync.Missing:
		e.Kind = shadowsync.ErrNoAccount
	}
	return e
}

func difference(a config.Application, o shadowsync.Outcome) Difference {
	return Difference{Application: a.Name, Account: o.Account, OS: viewOf(o.OS), Store: storeViewOf(o), Reason: o.Reason}
}

func viewOf(c *shadowsync.Credential) SideView {
	if c == nil {
		return SideView{Format: "no such account", LastChange: "unknown"}
	}
	return SideView{Format: hashName(c.Hash), LastChange: lastChange(*c), Locked: c.Locked}
}

// storeViewOf is viewOf for a store, whose values may be of the application's own scheme.
func storeViewOf(o shadowsync.Outcome) SideView {
	view := viewOf(o.Store)
	if o.Scheme != "" && o.Store != nil && o.Store.Hash != "" {
		view.Format = o.Scheme
	}
	return view
}

func hashName(hash string) string {
	switch f := format.Identify(hash); {
	case f != format.Unknown:
		return f.String()
	case hash == "":
		return "no password"
	}
	switch (shadowsync.Credential{Hash: hash}).Kind() {
	case shadowsync.KindNone:
		return "no login"
	case shadowsync.KindElsewhere:
		return "kept elsewhere"
	}
	return "unknown format"
}

func lastChange(c shadowsync.Credential) string {
	switch {
	case c.MustChange:
		return "must be changed at the next login"
	case c.LastChange <= 0: // a store without the field reports the zero value
		return "unknown"
	}
	return c.LastChange.Time().Format(time.DateOnly)
}

// noSessions: an import changes no password with which a session was opened.
type noSessions struct{}

func (noSessions) End(context.Context, shadowsync.Account, shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	return nil, nil, errors.New("an import ends no session")
}
