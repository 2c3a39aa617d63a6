package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// hashReport is an application in `user list --hashes --json`.
type hashReport struct {
	Name  string         `json:"name"`
	OS    map[string]int `json:"os"`    // format -> accounts
	Store map[string]int `json:"store"` // empty if the store cannot be read
	// Unverifiable are the accounts whose store value the application cannot verify.
	Unverifiable []string `json:"unverifiable"`
	// NeedsLogin are the accounts that wait for a clear text from which the store's own format can
	// be made.
	NeedsLogin []string `json:"needs_login"`
	missing    []string // those of them whose password the store has in no format
	// Old are the accounts with an obsolete format on either side.
	Old []string `json:"old"`
}

// hashReports is the object that `user list --hashes --json` prints.
type hashReports struct {
	Applications []hashReport `json:"applications"`
}

func runListHashes(ctx context.Context, a *app, f filter) error {
	return a.with(ctx, func(e *engine.Engine) error {
		parts, unknown := f.parts(e.Config)
		if len(parts) == 0 {
			return unknown
		}
		reports := []hashReport{}
		for _, part := range parts {
			r, err := a.hashReport(ctx, e, part)
			if err != nil {
				return err
			}
			reports = append(reports, r)
		}
		if a.json {
			return errors.Join(unknown, a.printJSON(hashReports{reports}))
		}
		for _, r := range reports {
			if err := a.showHashes(r); err != nil {
				return err
			}
		}
		return unknown
	})
}

func (a *app) hashReport(ctx context.Context, e *engine.Engine, s selection) (hashReport, error) {
	r := hashReport{
		Name: s.application.Name, OS: map[string]int{}, Store: map[string]int{},
		Unverifiable: []string{}, NeedsLogin: []string{}, Old: []string{},
	}
	report, err := e.Reconcile(ctx, s.application.Name, shadowsync.Request{DryRun: true, Among: s.accounts})
	if err != nil {
		return r, err
	}
	os, err := e.Accounts.Read(ctx, s.accounts)
	if err != nil {
		return r, err
	}
	var store shadowsync.StoreSnapshot
	side := e.Reconciler(s.application.Name).Store
	if report.Fault == nil {
		if store, err = side.Read(ctx, s.accounts); err != nil {
			return r, err
		}
	}
	caps := side.Capabilities()
	find := report.Finder()
	for _, name := range s.accounts {
		account, inOS := os.Accounts[name]
		record, inStore := store.Accounts[name]
		if inOS {
			r.OS[formatOf(account.Hash)]++
		}
		if inStore {
			r.Store[storeFormat(caps.Scheme, record.Hash)]++
		}
		foreign := inStore && !caps.Opaque() && !caps.Formats.Accept(record.Hash)
		if foreign {
			r.Unverifiable = append(r.Unverifiable, name)
		}
		if outcome, _ := find(name); outcome.State == shadowsync.NeedsLogin {
			r.NeedsLogin = append(r.NeedsLogin, name)
			if !foreign {
				r.missing = append(r.missing, name)
			}
		}
		if old(account.Hash) || !caps.Opaque() && old(record.Hash) {
			r.Old = append(r.Old, name)
		}
	}
	return r, nil
}

// old reports whether a password can be found from its hash at little cost. The formats are listed
// strongest first; those after sha256crypt are obsolete.
func old(hash string) bool { return format.Identify(hash) > format.SHA256 }

func (a *app) showHashes(r hashReport) error {
	a.say("%s", r.Name)
	var rows [][]string
	names := slices.Collect(maps.Keys(r.OS))
	for name := range r.Store {
		if _, both := r.OS[name]; !both {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(r.OS[y]-r.OS[x], r.Store[y]-r.Store[x], cmp.Compare(x, y)) })
	for _, name := range names {
		rows = append(rows, []string{name, strconv.Itoa(r.OS[name]), strconv.Itoa(r.Store[name])})
	}
	if err := a.table("  ", []table.Column{{Head: "FORMAT"}, {Head: "OS"}, {Head: "STORE"}}, rows); err != nil {
		return err
	}
	for _, part := range []struct {
		names []string
		text  string
	}{
		{r.Unverifiable, "the application cannot verify what its store holds, until the next login or password change"},
		{r.missing, "the store's format is made at the next login or password change"},
		{r.Old, "an old format, renewed by the next password change: shadowsync user expire password NAME"},
	} {
		if len(part.names) > 0 {
			a.tell("  %s: %s", a.named(part.text), listed(part.names))
		}
	}
	return nil
}
