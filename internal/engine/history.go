package engine

import (
	"context"
	"slices"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Kept is a value that an account had, with the store whose state has it.
type Kept struct {
	Holder config.Application
	shadowsync.Entry
}

// HistoryOf returns an account's history over all stores of its application, given what each has on record: what
// the first one's state has, newest first, then what only another one's has.
func HistoryOf(holders []config.Application, records []shadowsync.Record) (all []Kept) {
	for i, record := range records {
		before := all
		for _, entry := range record {
			here := func(k Kept) bool { return k.OS.Hash == entry.OS.Hash && k.OS.Locked == entry.OS.Locked }
			if i == 0 || entry.OS.Hash == "" || !slices.ContainsFunc(before, here) {
				all = append(all, Kept{holders[i], entry})
			}
		}
	}
	return all
}

// History returns that of accounts of an application.
func (e *Engine) History(ctx context.Context, application string, names []string) (map[string][]Kept, error) {
	holders := e.Holders(application)
	records := make(map[string][]shadowsync.Record, len(names))
	for _, h := range holders {
		memory, err := e.State.Load(ctx, h.Name, names)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			records[name] = append(records[name], memory.Accounts[name].Record)
		}
	}
	all := make(map[string][]Kept, len(names))
	for name, each := range records {
		all[name] = HistoryOf(holders, each)
	}
	return all, nil
}
