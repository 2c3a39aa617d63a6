package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/shadowsync/shadowsync/internal/crypt/format"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// hashReport is an application in `user list --hashes --json`.
type hashReport struct {
	Name  string         `json:"name"`
	OS    map[string]int `json:"os"`    // format -> accounts
	Store map[string]int `json:"store"` // empty where the store cannot be read
	// Unverifiable are the accounts whose store value the application cannot verify.
	Unverifiable []string `json:"unverifiable"`
	// NeedsLogin wait for a password that the store's own format can be made of.
	NeedsLogin []string `json:"needs_login"`
	missing    []string // those of them whose password the store has not in any format
	// Old have a format on either side that is no longer a protection.
	Old []string `json:"old"`
}

// hashReports is that object.
type hashReports struct {
	Applications []hashReport `json:"applications"`
}

func runListHashes(ctx context.Context, a *app) error {
	return a.with(ctx, func(e *engine.Engine) error {
		reports := []hashReport{}
		for _, application := range e.Config.Applications {
			r, err := a.hashReport(ctx, e, selection{application: application, accounts: application.Accounts, all: true})
			if err != nil {
				return err
			}
			reports = append(reports, r)
		}
		if a.json {
			return a.printJSON(hashReports{reports})
		}
		for _, r := range reports {
			if err := a.showHashes(r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) hashReport(ctx context.Context, e *engine.Engine, s selection) (hashReport, error) {
	r := hashReport{
		Name: s.application.Name, OS: map[string]int{}, Store: map[string]int{},
		Unverifiable: []string{}, NeedsLogin: []string{}, Old: []string{},
	}
	report, err := e.Reconcile(ctx, s.application.Name, shadowsync.Request{DryRun: true})
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
	formats := side.Capabilities().Formats
	find := report.Finder()
	for _, name := range s.accounts {
		account, inOS := os.Accounts[name]
		record, inStore := store.Records[name]
		if inOS {
			r.OS[formatOf(account.Hash)]++
		}
		if inStore {
			r.Store[formatOf(record.Hash)]++
		}
		foreign := inStore && !formats.Accept(record.Hash)
		if foreign {
			r.Unverifiable = append(r.Unverifiable, name)
		}
		if outcome, _ := find(name); outcome.State == shadowsync.NeedsLogin {
			r.NeedsLogin = append(r.NeedsLogin, name)
			if !foreign {
				r.missing = append(r.missing, name)
			}
		}
		if old(account.Hash) || old(record.Hash) {
			r.Old = append(r.Old, name)
		}
	}
	return r, nil
}

// old tells whether a password can be found from its hash at little cost: the
// formats are listed strongest first, and those after sha256crypt are of the last century.
func old(hash string) bool { return format.Identify(hash) > format.SHA256 }

func (a *app) showHashes(r hashReport) error {
	a.say("%s", r.Name)
	rows := [][]string{{"FORMAT", "OS", "STORE"}}
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
	if err := a.table("  ", rows); err != nil {
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
			a.say("  %s: %s", part.text, listed(part.names))
		}
	}
	return nil
}
