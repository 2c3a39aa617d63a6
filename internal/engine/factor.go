package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/boot"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/keyworker"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// EnrolledList is the list of accounts that must show a code (factor.List). Only root may read it. It
// is not in RunDir, because nobody must get in without a code while the broker is not up yet.
const EnrolledList = HomeDir + "/enrolled"

// FactorKeyFile is the key that seals the secrets of second factors in the system at root, unless the
// configuration names a credential.
func FactorKeyFile(root string) factor.KeyFile {
	return factor.KeyFile{Root: root, Name: HomeDir + "/factor.key"}
}

// keys counts the units with a key of this process, for their names.
var keys worker.Helpers

// FactorKey is that key, from the file or from the credential. Whoever needs it for longer keeps it: a
// unit that has the credential serves more than once.
func FactorKey(root string, c *config.Config) factor.Key {
	name := c.SecondFactor.KeyCredential
	if name == "" {
		return FactorKeyFile(root)
	}
	k := &keyworker.Key{Name: name}
	if inroot.Live(root) {
		k.Start = func(ctx context.Context) (*worker.Process, error) {
			return startHelper(ctx, keyworker.Command.Name, systemd.HelperUnit{
				Name: keys.Name("key-"), What: "Key of the second factors", Deadline: keyworker.Deadline, Credential: name,
			})
		}
	}
	return k
}

// Factors are the second factors of the system. Whoever uses them for longer keeps the brake, so that
// it remembers wrong codes.
func (e *Engine) Factors(brake factor.Brake) *factor.Factors {
	return &factor.Factors{Store: factors{e.State, e}, Key: e.system.Key, Brake: brake, Now: time.Now, Boot: e.sinceBoot}
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
		if c, err = change(r); err == nil && c.Record.State != r.State {
			f.engine.noteUID(ctx, &c.Record)
		}
		f.assign(c.Events)
		done = c
		return c, err
	}, func(all []factor.Record, known bool) error { return writeEnrolled(f.engine.root, all, known) })
	if err == nil {
		f.engine.teller.tell(done.Events...)
		f.engine.notify(addressesOf(before, done.Record), done.Events)
	}
	return err
}

// noteUID notes the account's present uid.
func (e *Engine) noteUID(ctx context.Context, r *factor.Record) {
	people, _ := shadowfile.People(ctx, e.root) // the next writing of the list notes it
	if p, there := people[r.Account]; there && r.Realm == factor.Local {
		r.UID = &p.UID
	}
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
// lost its factor (KeepEnrolled). A damaged list may have named anybody; only a state that knows them all
// replaces it.
func writeEnrolled(root string, all []factor.Record, known bool) error {
	lost, err := unrecorded(root, all)
	if known && errors.Is(err, factor.ErrList) {
		err = nil
	}
	if err == nil {
		err = putEnrolled(root, factor.List(append(slices.Clone(all), lost...)))
	}
	return err
}

func putEnrolled(root string, list []byte) error {
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
	if err != nil && !errors.Is(err, factor.ErrList) {
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
	if err != nil {
		return nil, fmt.Errorf("%w: %w", factor.ErrList, err)
	}
	known := map[factor.Subject]bool{}
	for _, r := range all {
		known[r.Subject] = true
	}
	listed, err := factor.Listed(list)
	for _, r := range listed {
		if !known[r.Subject] {
			known[r.Subject] = true
			lost = append(lost, r)
		}
	}
	return lost, err
}

// ErrLost: the list names an account of which the state has no record, and has not taken it over yet.
var ErrLost = errors.New("the state has lost the second factor that the list of them names")

// Recorded returns ErrLost for such an account; factor.ErrList: the list may have named anybody.
func (e *Engine) Recorded(ctx context.Context, s factor.Subject) error {
	r, err := e.State.Factor(ctx, s)
	if err != nil || r.Generation > 0 {
		return err
	}
	listed, err := unrecorded(e.root, nil)
	if errors.Is(err, factor.ErrList) { // mended, if the state knows whom it named
		err = WriteEnrolled(ctx, e.root, e.State)
	}
	if err == nil && slices.ContainsFunc(listed, func(r factor.Record) bool { return r.Subject == s }) {
		err = ErrLost
	}
	return err
}

// WriteEnrolled writes that list from the state, and takes what only the list still knows into it. Every
// change of a factor writes the list; this is for the first time, and mends it. If it is right already,
// nothing is written. Where the list is damaged and the state may not know whom it named: factor.ErrList.
func WriteEnrolled(ctx context.Context, root string, db *state.DB) error {
	_, damaged := takeLost(ctx, root, db)
	if damaged != nil && !errors.Is(damaged, factor.ErrList) {
		return damaged
	}
	all, err := db.Factors(ctx)
	if err == nil {
		err = noteUIDs(ctx, root, db, all)
	}
	if err != nil || damaged == nil && inroot.Holds(root, EnrolledList, factor.List(all)) {
		return err
	}
	return db.ListFactors(ctx, func(all []factor.Record, known bool) error { return writeEnrolled(root, all, known) })
}

// MendEnrolled is WriteEnrolled where root has looked at a damaged list, which it replaces.
func MendEnrolled(ctx context.Context, root string, db *state.DB) error {
	err := WriteEnrolled(ctx, root, db)
	if !errors.Is(err, factor.ErrList) {
		return err
	}
	return db.ListFactors(ctx, func(all []factor.Record, _ bool) error { return putEnrolled(root, factor.List(all)) })
}

// noteUIDs notes the present uids of the accounts, also in all. An account that has no such name any more
// keeps its last one: it may have been renamed.
func noteUIDs(ctx context.Context, root string, db *state.DB, all []factor.Record) error {
	people, err := shadowfile.People(ctx, root)
	if err != nil {
		return err
	}
	changed := map[factor.Subject]int{}
	for i, r := range all {
		p, there := people[r.Account]
		if there && r.Realm == factor.Local && (r.UID == nil || *r.UID != p.UID) {
			all[i].UID = &p.UID
			changed[r.Subject] = p.UID
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return db.SetUIDs(ctx, changed)
}

// ClockMatters reports whether anybody has a second factor, or must enrol one.
func ClockMatters(c *config.Config, all []factor.Record) bool {
	return c.SecondFactor.Required != config.RequiredNobody ||
		slices.ContainsFunc(all, func(r factor.Record) bool { return r.State == factor.Enrolled })
}

// FactorOfUID returns what is kept of an account with a second factor that has, or had, this uid: another
// name of the same person. Its state is factor.None if there is none.
func (e *Engine) FactorOfUID(ctx context.Context, uid int) (factor.Record, error) {
	found, err := e.State.FactorsOfUID(ctx, uid)
	found = slices.DeleteFunc(found, func(r factor.Record) bool { return !r.Asked() })
	if err != nil || len(found) == 0 {
		return factor.Record{State: factor.None}, err
	}
	people, err := shadowfile.People(ctx, e.root)
	if err != nil {
		return factor.Record{}, err
	}
	for _, r := range found {
		if p, there := people[r.Account]; r.Realm != factor.Local || !there || p.UID == uid {
			return r, nil
		}
	}
	return factor.Record{State: factor.None}, nil
}
