package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func newHistory(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "history NAME",
		Short: "List the credentials that an account had, or put one back",
		Long: "Lists what is in use now and what an account had before, newest first: the hash formats, when\n" +
			"each was replaced and by whom. What never reached both sides is there too. restore puts an entry back\n" +
			"on both sides: that old password works again, even if the password policy would refuse it,\n" +
			"which is recorded in the audit. It prints the command that undoes it.",
		Args:              exactly(1),
		ValidArgsFunction: a.completeAccounts(1),
		RunE:              func(c *cobra.Command, names []string) error { return runHistory(c.Context(), a, names[0]) },
	}
	c.AddCommand(newHistoryRestore(a))
	return c
}

func newHistoryRestore(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "restore NAME N",
		Short:             "Put entry N of an account's history back on both sides",
		Args:              exactly(2),
		ValidArgsFunction: a.completeEntries,
		RunE: func(c *cobra.Command, given []string) error {
			n, err := strconv.Atoi(given[1])
			if err != nil || n < 1 {
				return usageError(c, fmt.Errorf("%q is not the number of an entry", given[1]))
			}
			return runHistoryRestore(c.Context(), a, given[0], n)
		},
	}
}

// completeEntries offers the accounts, then the entries of the one that was named, each with what it
// is.
func (a *app) completeEntries(c *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(given) != 1 {
		return a.completeAccounts(1)(c, given, begun)
	}
	const nothing = cobra.ShellCompDirectiveNoFileComp
	config, err := a.loadQuietly()
	if err != nil {
		return nil, nothing
	}
	application, managed := config.Managing(given[0])
	if known, err := a.hasState(); err != nil || !known || !managed || a.uid != 0 {
		return nil, nothing
	}
	db, err := state.OpenIn(c.Context(), a.root, engine.StateDir)
	if err != nil {
		return nil, nothing
	}
	defer db.Close()
	holders, records := config.Holders(application), []shadowsync.Record{}
	for _, h := range holders {
		memory, _ := db.Load(c.Context(), h.Name, given[:1]) // an unreadable state offers nothing
		records = append(records, memory.Accounts[given[0]].Record)
	}
	var entries []string
	for i, entry := range engine.HistoryOf(holders, records) {
		entries = append(entries, fmt.Sprintf("%d\t%s, replaced %s", i+1, formatOf(entry.OS.Hash), clock(entry.Replaced)))
	}
	return entries, nothing | cobra.ShellCompDirectiveKeepOrder
}

// historyEntry is an entry in the output of `history --json`.
type historyEntry struct {
	N           int               `json:"n"`
	Application string            `json:"application,omitempty"` // of several stores, the one on whose record it is
	OSFormat    string            `json:"os_format"`
	StoreFormat string            `json:"store_format"`
	Locked      bool              `json:"locked"`
	Changed     string            `json:"last_change_day,omitempty"`
	Replaced    *time.Time        `json:"replaced"`
	Lost        bool              `json:"lost"`                // it lost a conflict or was replaced before it was persisted: never in effect on both sides
	InUse       bool              `json:"in_use"`              // the OS has this password again
	ByPresent   bool              `json:"replaced_by_present"` // the change that set what is in use now replaced it
	ReplacedBy  *int              `json:"replaced_by"`         // the entry with the value that took its place; null: what is in use now, one that is in no entry, or not known
	Origin      shadowsync.Origin `json:"origin"`
}

// historyList is the object that `history --json` prints.
type historyList struct {
	Name    string         `json:"name"`
	Present *presentEntry  `json:"present"` // null: the account is not there
	History []historyEntry `json:"history"`
}

// presentEntry is what is in use now.
type presentEntry struct {
	OSFormat    string                 `json:"os_format"`
	StoreFormat string                 `json:"store_format,omitempty"` // as last in step with the OS; empty: never
	Locked      bool                   `json:"locked"`
	Changed     string                 `json:"last_change_day,omitempty"`
	State       shadowsync.ChangeState `json:"state"`
	Origin      *shadowsync.Origin     `json:"origin"` // of the last change that both sides have
	Others      []otherPresent         `json:"other_stores,omitempty"`

	application string // the first of several stores
}

// otherPresent is what a store besides the first one has.
type otherPresent struct {
	Application string                 `json:"application"`
	StoreFormat string                 `json:"store_format,omitempty"`
	State       shadowsync.ChangeState `json:"state"`
}

// kept is what is remembered of an account, and the account as it is now.
type kept struct {
	holders  []config.Application
	schemes  map[string]string // by the holders' names
	memories []shadowsync.AccountMemory
	all      []engine.Kept
	now      *shadowsync.Account // nil: it is not there
}

func keptOf(ctx context.Context, e *engine.Engine, name string) (p kept, err error) {
	application, ok := e.Config.Managing(name)
	if !ok {
		return p, &config.UnmanagedError{Account: name}
	}
	p = kept{holders: e.Holders(application.Name), schemes: map[string]string{}}
	var records []shadowsync.Record
	for _, h := range p.holders {
		memory, err := e.State.Load(ctx, h.Name, []string{name})
		if err != nil {
			return p, err
		}
		p.schemes[h.Name] = e.Reconciler(h.Name).Store.Capabilities().Scheme
		p.memories, records = append(p.memories, memory.Accounts[name]), append(records, memory.Accounts[name].Record)
	}
	p.all = engine.HistoryOf(p.holders, records)
	os, err := e.Accounts.Read(ctx, []string{name})
	if account, there := os.Accounts[name]; there {
		p.now = &account
	}
	return p, err
}

func runHistory(ctx context.Context, a *app, name string) error {
	return a.with(ctx, func(e *engine.Engine) error {
		p, err := keptOf(ctx, e, name)
		if err != nil {
			return err
		}
		list := p.list(name)
		if a.json {
			return a.printJSON(list)
		}
		return a.showHistory(list)
	})
}

// present is what is in use now.
func (p kept) present() *presentEntry {
	if p.now == nil {
		return nil
	}
	now := &presentEntry{OSFormat: formatOf(p.now.Hash), Locked: p.now.Locked, Changed: date(p.now.LastChange)}
	for i, h := range p.holders {
		m, at := p.memories[i], otherPresent{Application: h.Name, State: shadowsync.InSync}
		switch {
		case m.Open != nil:
			at.State = m.Open.State
		case m.Baseline == nil || m.Baseline.OS.Hash != p.now.Hash:
			at.State = shadowsync.Queued
		default:
			at.StoreFormat = storeFormat(p.schemes[h.Name], m.Baseline.Store.Hash)
		}
		if i > 0 {
			now.Others, now.application = append(now.Others, at), p.holders[0].Name
			continue
		}
		if now.State, now.StoreFormat = at.State, at.StoreFormat; at.State == shadowsync.InSync {
			now.Origin = m.LastChange
		}
	}
	return now
}

func (p kept) list(name string) historyList {
	list := historyList{Name: name, Present: p.present(), History: make([]historyEntry, 0, len(p.all))}
	for i, entry := range p.all {
		h := historyEntry{
			N: i + 1, OSFormat: formatOf(entry.OS.Hash), StoreFormat: storeFormat(p.schemes[entry.Holder.Name], entry.Store.Hash), Locked: entry.OS.Locked,
			Changed: date(entry.OS.LastChange), Replaced: stamp(entry.Replaced), Lost: entry.Lost, Origin: entry.Origin,
			InUse:     p.now != nil && entry.OS.Hash != "" && entry.OS.Hash == p.now.Hash,
			ByPresent: list.Present != nil && list.Present.Origin != nil && reflect.DeepEqual(entry.Origin, *list.Present.Origin),
		}
		if len(p.holders) > 1 {
			h.Application = entry.Holder.Name
		}
		if !h.ByPresent {
			h.ReplacedBy = p.successor(entry.Entry)
		}
		list.History = append(list.History, h)
	}
	return list
}

// successor returns the number of the entry that has the value which took the place of e.
func (p kept) successor(e shadowsync.Entry) *int {
	for i, other := range p.all {
		if n := i + 1; e.ReplacedBy(other.OS) {
			return &n
		}
	}
	return nil
}

var historyColumns = []table.Column{{Head: "N"}, {Head: "OS", Rank: 2}, {Head: "STORE", Rank: 3}, {Head: "SET", Rank: 1}, {Head: "REPLACED"}, {Head: "REPLACED BY", Wrap: true}, {Head: "NOTES", Wrap: true}}

// storeColumn names the store, where the application has several.
var storeColumn = table.Column{Head: "STORE OF"}

func (a *app) showHistory(list historyList) error {
	if len(list.History) == 0 {
		a.tell("%s has no history yet", list.Name)
		return nil
	}
	columns, several := historyColumns, list.History[0].Application != ""
	var rows [][]string
	add := func(store string, row ...string) {
		if several {
			row = slices.Insert(row, 1, store)
		}
		rows = append(rows, row)
	}
	if several {
		columns = slices.Insert(slices.Clone(columns), 1, storeColumn)
	}
	if p := list.Present; p != nil {
		add(p.application, "now", p.OSFormat, p.StoreFormat, p.Changed, "", "", p.notes())
		for _, o := range p.Others {
			notes := []string{"in use"}
			if o.State != shadowsync.InSync {
				notes = append(notes, string(o.State))
			}
			add(o.Application, "now", p.OSFormat, o.StoreFormat, p.Changed, "", "", strings.Join(notes, ", "))
		}
	}
	for _, h := range list.History {
		add(h.Application, strconv.Itoa(h.N), h.OSFormat, h.StoreFormat, h.Changed, clock(*h.Replaced), who(h.Origin), h.notes())
	}
	return a.table("", columns, rows)
}

func (p presentEntry) notes() string {
	notes := []string{"in use"}
	if p.State != shadowsync.InSync {
		notes = append(notes, string(p.State))
	}
	if p.Locked {
		notes = append(notes, "locked")
	}
	if p.Origin != nil {
		notes = append(notes, "since "+clock(p.Origin.At))
	}
	return strings.Join(notes, ", ")
}

func (h historyEntry) notes() string {
	var notes []string
	if h.InUse {
		notes = append(notes, "in use again now")
	}
	switch {
	case h.ByPresent && !h.InUse:
		notes = append(notes, "replaced by what is in use now")
	case h.ReplacedBy != nil:
		notes = append(notes, fmt.Sprintf("replaced by entry %d", *h.ReplacedBy))
	}
	if h.Locked {
		notes = append(notes, "locked")
	}
	if h.Lost {
		notes = append(notes, "was never on both sides")
	}
	return strings.Join(notes, ", ")
}

// runHistoryRestore also says how to undo it: the value that was in use is an entry now.
func runHistoryRestore(ctx context.Context, a *app, name string, n int) error {
	var before string
	look := func(do func([]engine.Kept, string)) {
		_ = a.with(ctx, func(e *engine.Engine) error { // the restore itself tells, and audits, what is wrong
			p, err := keptOf(ctx, e, name)
			if err == nil && p.now != nil {
				do(p.all, p.now.Hash)
			}
			return err
		})
	}
	look(func(_ []engine.Kept, hash string) { before = hash })
	if err := runVerb(ctx, a, restoreCredential(n), targetSource{names: []string{name}}); err != nil || a.json {
		return err
	}
	look(func(kept []engine.Kept, hash string) {
		i := slices.IndexFunc(kept, func(k engine.Kept) bool { return k.OS.Hash == before })
		if i >= 0 && before != "" && before != hash {
			a.tell("To undo this: %s", a.named(fmt.Sprintf("shadowsync history restore %s %d", shellWord(name), i+1)))
		}
	})
	return nil
}

func restoreCredential(n int) verb {
	return verb{
		Verb: bulk.RestoreCredential(n), phrase: fmt.Sprintf("restore credential %d of", n), doing: "Restoring a credential",
		said: func(name string, _ []byte) string { return fmt.Sprintf("Credential %d of user `%s` restored", n, name) },
	}
}
