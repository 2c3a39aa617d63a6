package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/boot"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// EnrolledList is the list of accounts that must show a code (factor.List). Only root may read it. It
// is not in RunDir, because nobody must get in without a code while the broker is not up yet.
const EnrolledList = HomeDir + "/enrolled"

// FactorKey is the key that seals the secrets of second factors in the system at root.
func FactorKey(root string) factor.KeyFile {
	return factor.KeyFile{Root: root, Name: HomeDir + "/factor.key"}
}

// Factors are the second factors of the system. Whoever uses them for longer keeps the brake, so that
// it remembers wrong codes.
func (e *Engine) Factors(brake factor.Brake) *factor.Factors {
	return &factor.Factors{Store: factors{e.State, e}, Key: FactorKey(e.root), Brake: brake, Now: time.Now, Boot: e.sinceBoot}
}

// FactorLogout asks for the end of an account's sessions, for a reset of its second factor; nil: no
// application manages the account, and the caller ends them.
func (e *Engine) FactorLogout(s factor.Subject, by shadowsync.Origin) *factor.Logout {
	application, managed := e.Config.Managing(s.Account)
	if !managed || s.Realm != factor.Local {
		return nil
	}
	keep := e.Config.Domain(application).Ending.Keeps(by)
	return &factor.Logout{Application: application.Name, Logout: shadowsync.Logout{Account: s.Account, Keep: keep, Origin: by}}
}

func (e *Engine) sinceBoot() (string, time.Duration) {
	if !inroot.Live(e.root) {
		return "", 0
	}
	return boot.ID(), boot.Elapsed()
}

// factors is the state, and also sends its audit events to the journal and keeps the list up to date.
type factors struct {
	*state.DB
	engine *Engine
}

// errVolatile: a code that is taken in memory would be valid again after a reboot.
var errVolatile = fmt.Errorf("the state cannot be written: %w", shadowsync.ErrUnavailable)

func (f factors) ChangeFactor(ctx context.Context, s factor.Subject, change func(factor.Record) (factor.Change, error)) error {
	if f.engine.options.Volatile {
		return errVolatile
	}
	var done factor.Change
	var before factor.Record
	err := f.DB.ChangeFactor(ctx, s, func(r factor.Record) (c factor.Change, err error) {
		before = r
		c, err = change(r)
		f.assign(c.Events)
		done = c
		return c, err
	}, func(all []factor.Record) error { return writeEnrolled(f.engine.root, all) })
	if err == nil {
		f.engine.teller.tell(done.Events...)
		f.engine.notify(addressesOf(before, done.Record), done.Events)
	}
	return err
}

func (f factors) Audit(ctx context.Context, events ...shadowsync.Event) error {
	f.assign(events)
	return f.engine.Audit(ctx, events...)
}

// assign names the application that manages each event's account.
func (f factors) assign(events []shadowsync.Event) {
	for i, e := range events {
		a, _ := f.engine.Config.Managing(e.Account)
		events[i].Application = a.Name
	}
}

// writeEnrolled writes the list, durably, also an empty one: to the PAM module, a missing list does not
// say that nobody has a second factor. An account stays in it of which there is no record: the state has
// lost its factor (KeepEnrolled).
func writeEnrolled(root string, all []factor.Record) error {
	lost, err := unrecorded(root, all)
	if err != nil {
		lost = nil // a list that cannot be read is replaced
	}
	list := factor.List(append(slices.Clone(all), lost...))
	if inroot.Holds(root, EnrolledList, list) {
		return nil
	}
	if err := inroot.Replace(root, EnrolledList, list, 0o600); err != nil {
		return fmt.Errorf("cannot list the accounts with a second factor: %w", err)
	}
	return nil
}

// ActionLost is the action of the audit for a factor that only the list still knows.
const ActionLost = "factor-lost"

// KeepEnrolled writes that list from the state, for a start of the broker. If the list names accounts of
// which the state has no record, the state has lost their factors: from then on they must enrol anew,
// so that nobody gets in without a code because a state was destroyed.
func (e *Engine) KeepEnrolled(ctx context.Context) error {
	if e.options.Volatile {
		return errVolatile
	}
	lost, err := takeLost(ctx, e.root, e.State)
	if err != nil {
		return err
	}
	var events []shadowsync.Event
	for _, r := range lost {
		events = append(events, shadowsync.Event{
			At: time.Now(), Account: r.Account, Action: ActionLost, Result: shadowsync.Pending,
			Reason: "the state has no record of it; a reset of the second factor is needed",
			Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByStart, Program: e.options.Program},
		})
	}
	factors{e.State, e}.assign(events)
	return errors.Join(e.Audit(ctx, events...), WriteEnrolled(ctx, e.root, e.State))
}

// takeLost makes records of the factors that only the list still knows, and returns them.
func takeLost(ctx context.Context, root string, db *state.DB) (lost []factor.Record, err error) {
	all, err := db.Factors(ctx)
	if err == nil {
		lost, err = unrecorded(root, all)
	}
	if err == nil && len(lost) > 0 {
		err = db.TakeFactors(ctx, lost)
	}
	return lost, err
}

// unrecorded returns the factors that the list names and of which there is no record.
func unrecorded(root string, all []factor.Record) (lost []factor.Record, err error) {
	list, err := inroot.ReadFile(root, EnrolledList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	known := map[factor.Subject]bool{}
	for _, r := range all {
		known[r.Subject] = true
	}
	for _, s := range factor.Listed(list) {
		if !known[s] {
			known[s] = true
			lost = append(lost, factor.Lost(s))
		}
	}
	return lost, err
}

// WriteEnrolled writes that list from the state, and takes what only the list still knows into it. Every
// change of a factor writes the list; this is for the first time, and mends it.
func WriteEnrolled(ctx context.Context, root string, db *state.DB) error {
	_, _ = takeLost(ctx, root, db) // a list that cannot be read names nobody, and is replaced
	return db.ListFactors(ctx, func(all []factor.Record) error { return writeEnrolled(root, all) })
}
