package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/state/backup"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// preferBaseline is restore's third choice: each side gets its own value from the backup.
const preferBaseline = "baseline"

// These say whose password holds after a restore.
const (
	winsAgree    = "agree" // both sides hold the same
	winsOS       = "os"
	winsStore    = "store"
	winsBaseline = preferBaseline
	winsHeld     = "held" // neither: nothing is applied until a person decides
	winsMissing  = "missing"
	winsWaits    = "waits" // the store is not available
)

// planned is what restore will do to one account.
type planned struct {
	Application  string  `json:"application"`
	Account      string  `json:"account"`
	Wins         string  `json:"wins"`
	Reason       *string `json:"reason"`
	OSFormat     string  `json:"os_format,omitempty"`
	StoreFormat  string  `json:"store_format,omitempty"`
	BackupFormat string  `json:"backup_format,omitempty"` // format of the OS value in the backup
	OSChanged    string  `json:"os_last_change_day,omitempty"`
	BackupDay    string  `json:"backup_last_change_day,omitempty"`
}

// plan is what a restore does to each account, and why it leaves decisions to a person.
type plan struct {
	accounts  []planned
	elsewhere string                                    // why the backup must not decide here; empty: it may
	differing map[string][]string                       // by application: accounts that differ from the backup
	baselines map[string]map[string]shadowsync.Baseline // their baselines in the backup
}

// strange says why this is not the system of the backup, or no longer. Then a difference is not a
// change made since the backup, and a person decides.
func (r *restore) strange(ctx context.Context, content *backup.Content, db *state.DB) (string, error) {
	machine := r.app.machine()
	switch {
	case content.Node != r.config.Node.Name:
		return fmt.Sprintf("the backup is of the node %q, this one is %q", content.Node, r.config.Node.Name), nil
	case content.Machine != machine:
		return "the backup is of another machine", nil
	}
	end, err := db.End(ctx)
	if err != nil {
		return "", err
	}
	present, err := state.OpenIn(ctx, r.app.root, engine.StateDir)
	if errors.Is(err, shadowsync.ErrMalformed) {
		return "the state here cannot be read", nil
	}
	if err != nil {
		return "", err
	}
	goesOn, err := present.Holds(ctx, end)
	if err := errors.Join(err, present.Close()); err != nil {
		return "", err
	}
	if !goesOn && end.Seq > 0 {
		return "the state here is not a continuation of the one in the backup", nil
	}
	return "", nil
}

// plan decides about each account before anything is written. In the restored state a held account
// has no baseline; its history contains the one of the backup.
func (r *restore) plan(ctx context.Context, content *backup.Content) (p plan, err error) {
	db, err := content.State(ctx)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	p.differing, p.baselines = map[string][]string{}, map[string]map[string]shadowsync.Baseline{}
	if p.elsewhere, err = r.strange(ctx, content, db); err != nil {
		return p, err
	}
	rehearsal := engine.Rehearse(engine.Options{Root: r.app.root, Config: r.config, StoreTimeout: storeTimeout}, db)
	for _, a := range r.config.Applications {
		rows, held := content.Rows(a.Name)
		if !held {
			rows = nil
		}
		if err := r.planOne(ctx, &p, db, rehearsal, a, rows); err != nil {
			return p, fmt.Errorf("cannot plan for %s: %w", a.Name, err)
		}
	}
	return p, nil
}

func (r *restore) planOne(ctx context.Context, p *plan, db *state.DB, rehearsal *engine.Rehearsal, a config.Application, rows map[string]driver.Row) error {
	s, err := rehearsal.Store(a, rows)
	if err != nil {
		return err
	}
	defer s.Close()
	os, err := rehearsal.OS(ctx, a)
	if err != nil {
		return err
	}
	memory, err := db.Load(ctx, a.Name, a.Accounts)
	if err != nil {
		return err
	}
	there, storeErr := s.Read(ctx, a.Accounts)
	p.baselines[a.Name] = map[string]shadowsync.Baseline{}
	for _, name := range a.Accounts {
		account, ok := os.Accounts[name]
		record, known := there.Accounts[name]
		b := memory.Accounts[name].Baseline
		if b == nil || !ok || samePassword(account.Credential, b.OS) && (storeErr != nil || !known || samePassword(record.Credential, b.Store)) {
			continue
		}
		p.differing[a.Name], p.baselines[a.Name][name] = append(p.differing[a.Name], name), *b
	}
	if p.elsewhere != "" || r.options.prefer != "" {
		if err := db.Unsettle(ctx, a.Name, p.differing[a.Name], time.Now()); err != nil {
			return err
		}
	}
	req := shadowsync.Request{Origin: noticed(), Only: p.differing[a.Name]}
	if len(req.Only) > 0 {
		req.Evidence.Prefer = r.options.side()
	}
	report, err := rehearsal.Reconcile(ctx, a, s, req)
	if err != nil {
		return err
	}
	for _, o := range report.Outcomes {
		p.accounts = append(p.accounts, r.planned(p, a, o, os.Accounts[o.Account], memory.Accounts[o.Account].Baseline, there.Accounts[o.Account]))
	}
	return nil
}

// samePassword compares what a login depends on. Different days alone need no decision.
func samePassword(a, b shadowsync.Credential) bool {
	return shadowsync.Equal(a, b, shadowsync.FieldHash|shadowsync.FieldLocked)
}

func (r *restore) planned(p *plan, a config.Application, o shadowsync.Outcome, os shadowsync.Account, b *shadowsync.Baseline, record shadowsync.StoredAccount) planned {
	line := planned{Application: a.Name, Account: o.Account, Wins: wins(o), OSFormat: formatOf(os.Hash), StoreFormat: storeFormat(o.Scheme, record.Hash), OSChanged: date(os.LastChange)}
	reason := o.Reason
	if b != nil {
		line.BackupFormat, line.BackupDay = formatOf(b.OS.Hash), date(b.OS.LastChange)
	}
	if _, differs := p.baselines[a.Name][o.Account]; differs {
		switch {
		case r.options.prefer == preferBaseline:
			line.Wins, reason = winsBaseline, "as the backup knows it on each side"
		case line.Wins == winsHeld && p.elsewhere != "":
			reason = p.elsewhere
		}
	}
	if reason != "" {
		line.Reason = &reason
	}
	return line
}

// wins says whose value an outcome leaves on both sides.
func wins(o shadowsync.Outcome) string {
	switch {
	case o.State == shadowsync.Missing:
		return winsMissing
	case o.State == shadowsync.Conflict:
		return winsHeld
	case o.WritesOS:
		return winsStore
	case o.WritesDB:
		return winsOS
	case o.State == shadowsync.InSync, agree(o):
		return winsAgree
	}
	return winsWaits
}

// held returns the accounts that need a person's decision.
func (p plan) held() (names []string) {
	for _, line := range p.accounts {
		if line.Wins == winsHeld {
			names = append(names, line.Account)
		}
	}
	return names
}

var planColumns = []table.Column{
	{Head: "ACCOUNT"},
	{Head: "APPLICATION", Rank: 3},
	{Head: "WINS"},
	{Head: "OS"},
	{Head: "CHANGED", Rank: 1},
	{Head: "STORE"},
	{Head: "BACKUP"},
	{Head: "CHANGED", Rank: 2},
	{Head: "REASON", Wrap: true},
}

func (p plan) show(a *app) error {
	if p.elsewhere != "" {
		a.tell("%s: what differs is held until you decide", p.elsewhere)
	}
	var rows [][]string
	for _, line := range p.accounts {
		reason := ""
		if line.Reason != nil {
			reason = *line.Reason
		}
		rows = append(rows, []string{line.Account, line.Application, line.Wins, line.OSFormat, line.OSChanged, line.StoreFormat, line.BackupFormat, line.BackupDay, reason})
	}
	return a.table("  ", planColumns, rows)
}

// heldError names accounts for which a restore made no decision.
type heldError struct {
	accounts []string
	file     string // set in a dry run: the restore is still to come
}

func (e *heldError) Error() string {
	return "cannot decide whose password holds: " + listed(e.accounts)
}
func (e *heldError) Unwrap() error { return errConflict }

func heldHint(e *heldError) string {
	if e.file != "" {
		return "shadowsync restore " + shellWord(e.file) + " --prefer baseline (or --prefer os, or --prefer store)"
	}
	names, one := conflictNames(e.accounts), "NAME"
	if len(e.accounts) == 1 {
		one = e.accounts[0]
	}
	return fmt.Sprintf("shadowsync sync %s --prefer os (or --prefer store; for the backup's value: shadowsync history restore %s 1)", names, one)
}

// apply carries out the preference once the restored state and stores are in place. Each losing
// value goes to the account's history.
func (r *restore) apply(ctx context.Context, p plan) error {
	if r.options.prefer == "" {
		return nil
	}
	return r.app.with(ctx, func(e *engine.Engine) error {
		var errs []error
		for _, a := range r.config.Applications {
			if names := p.differing[a.Name]; len(names) > 0 {
				errs = append(errs, r.applyOne(ctx, e, selection{application: a, accounts: names}, p.baselines[a.Name]))
			}
		}
		return errors.Join(errs...)
	})
}

func (r *restore) applyOne(ctx context.Context, e *engine.Engine, s selection, baselines map[string]shadowsync.Baseline) error {
	if r.options.prefer != preferBaseline {
		report, err := r.app.syncOne(ctx, e, s, syncOptions{prefer: r.options.prefer})
		report.Outcomes = s.of(report)
		return errors.Join(err, r.app.outcomeError(report))
	}
	changes := make([]shadowsync.Change, 0, len(s.accounts))
	for _, name := range s.accounts {
		b := baselines[name]
		c := shadowsync.Change{Account: name, OS: b.OS, Origin: r.origin}
		c.Origin.Verb = "restore, prefer baseline"
		if b.Store.Hash != b.OS.Hash {
			c.StoreHash = b.Store.Hash
		}
		changes = append(changes, c)
	}
	report, err := e.Set(ctx, s.application.Name, changes)
	errs := []error{err}
	for name, why := range report.Unwritten {
		errs = append(errs, fmt.Errorf("%s: %w", name, why))
	}
	report.Outcomes = s.of(report.Report)
	return errors.Join(append(errs, r.app.outcomeError(report.Report), r.app.endSessions(ctx, e, s.application))...)
}
