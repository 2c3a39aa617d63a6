package setup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/crypt/format"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// storeTimeout bounds a call to a store. Nobody waits at a passwd here, and the
// first start of an application's store may be slow.
const storeTimeout = 10 * time.Second

// SideView is one side of an account, as a person needs it to decide; never a hash.
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

// Difference is an account that OS and store hold differently, with nothing on
// record that tells who moved.
type Difference struct {
	Application string   `json:"application"`
	Account     string   `json:"account"`
	OS          SideView `json:"os"`
	Store       SideView `json:"store"`
	Reason      string   `json:"reason"`
}

// ErrUndecided is what a person has to decide before a baseline can be taken: every
// *FirstDifferenceError, and an *ImportError that is nobody's fault.
var ErrUndecided = errors.New("a person must decide")

// FirstDifferenceError stops setup: a person has to say which side is right.
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

// ImportError is an account whose baseline cannot be taken, whichever side is right.
// It wraps shadowsync.ErrUnavailable or shadowsync.ErrMalformed where the store is to
// blame, shadowsync.ErrNoAccount where the account is gone, else ErrUndecided.
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

// baselines counts the application's accounts that have one.
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

// takeBaseline looks at every application before it writes for any.
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

// openEngine makes the embedded stores of applications that nothing is on record of.
// One that has a baseline is never made again: it would come back empty.
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
		Guard: noGuard{}, Sessions: noSessions{},
	})
}

func (j *job) prepare(ctx context.Context, a config.Application) error {
	// The state's folder holds the embedded store too, with the mode that both need.
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

// take imports the accounts of an application that have no baseline yet; the
// others are reconciled as ever.
func (j *job) take(ctx context.Context, e *engine.Engine, a config.Application, dry bool) (differences []Difference, err error) {
	before, err := e.State.Load(ctx, a.Name, a.Accounts)
	if err != nil {
		return nil, err
	}
	report, err := e.Reconcile(ctx, a.Name, shadowsync.Request{
		First: j.First, Create: true, Force: true, DryRun: dry,
		Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByStart, Program: "shadowsync setup"},
	})
	if err != nil {
		return nil, err
	}
	for _, o := range report.Outcomes {
		if before.Accounts[o.Account].Baseline != nil {
			continue
		}
		if o.Verdict == shadowsync.VerdictConflict && report.Fault == nil && j.First == shadowsync.Neither {
			differences = append(differences, difference(a, o))
		} else if err := importError(a, o, report.Fault); err != nil {
			return nil, err
		}
		if !dry {
			j.result.Accounts = append(j.result.Accounts, Imported{a.Name, o.Account, string(o.State), string(o.Verdict)})
		}
	}
	return differences, nil
}

// importError tells why an account cannot be imported. One that waits for a login
// can: its OS side is known, and the store's follows.
func importError(a config.Application, o shadowsync.Outcome, fault *shadowsync.StoreFault) error {
	switch o.State {
	case shadowsync.InSync, shadowsync.NeedsLogin, shadowsync.Queued:
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
	return Difference{Application: a.Name, Account: o.Account, OS: viewOf(o.OS), Store: viewOf(o.Store), Reason: o.Reason}
}

func viewOf(c *shadowsync.Credential) SideView {
	if c == nil {
		return SideView{Format: "no such account", LastChange: "unknown"}
	}
	return SideView{Format: hashName(c.Hash), LastChange: lastChange(*c), Locked: c.Locked}
}

func hashName(hash string) string {
	switch f := format.Identify(hash); {
	case f != format.Unknown:
		return f.String()
	case hash == "":
		return "no password"
	case hash == "*" || hash == "!":
		return "no login"
	}
	return "unknown format"
}

func lastChange(c shadowsync.Credential) string {
	switch {
	case c.MustChange:
		return "must be changed at the next login"
	case c.LastChange <= 0: // a store without the field holds the zero value
		return "unknown"
	}
	return c.LastChange.Time().Format(time.DateOnly)
}

// noGuard: while the first baseline is taken the broker is not wired, and nothing
// of ours may hold the application back.
type noGuard struct{}

func (noGuard) Set(context.Context, string, []string) error { return nil }

// noSessions: an import changes no password that anybody has logged in with.
type noSessions struct{}

func (noSessions) End(context.Context, shadowsync.Account, shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	return nil, nil, errors.New("an import ends no session")
}
