package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// noEntryError: an account's record is not that long.
type noEntryError struct {
	account string
	n, has  int
}

func (e *noEntryError) Error() string {
	return fmt.Sprintf("there is no entry %d: %s has %d", e.n, e.account, e.has)
}

func newHistory(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "history NAME",
		Short: "List the credentials that an account had, or put one back",
		Long: "Lists what an account had before, newest first, with the hash format and who had\n" +
			"brought it. What lost a conflict is there too. restore puts an entry back on both\n" +
			"sides: the password of then works again, whatever the password policy says, which goes on record.",
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
		ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, given []string) error {
			n, err := strconv.Atoi(given[1])
			if err != nil || n < 1 {
				return usageError(c, fmt.Errorf("%q is not the number of an entry", given[1]))
			}
			return runHistoryRestore(c.Context(), a, given[0], n)
		},
	}
}

// historyEntry is an entry as `history --json` prints it.
type historyEntry struct {
	N           int               `json:"n"`
	OSFormat    string            `json:"os_format"`
	StoreFormat string            `json:"store_format"`
	Locked      bool              `json:"locked"`
	Changed     string            `json:"last_change_day,omitempty"`
	Replaced    *time.Time        `json:"replaced"`
	Lost        bool              `json:"lost"` // it lost a conflict and never held on both sides
	Origin      shadowsync.Origin `json:"origin"`
}

// historyList is the object that `history --json` prints.
type historyList struct {
	Name    string         `json:"name"`
	History []historyEntry `json:"history"`
}

func record(ctx context.Context, e *engine.Engine, name string) (shadowsync.Record, error) {
	application, ok := e.Config.Managing(name)
	if !ok {
		return nil, &noAccountError{name}
	}
	memory, err := e.State.Load(ctx, application.Name, []string{name})
	return memory.Accounts[name].Record, err
}

func runHistory(ctx context.Context, a *app, name string) error {
	return a.with(ctx, func(e *engine.Engine) error {
		entries, err := record(ctx, e, name)
		if err != nil {
			return err
		}
		history := make([]historyEntry, 0, len(entries))
		for i, entry := range entries {
			history = append(history, historyEntry{
				N: i + 1, OSFormat: formatOf(entry.OS.Hash), StoreFormat: formatOf(entry.Store.Hash), Locked: entry.OS.Locked,
				Changed: date(entry.OS.LastChange), Replaced: stamp(entry.Replaced), Lost: entry.Lost, Origin: entry.Origin,
			})
		}
		if a.json {
			return a.printJSON(historyList{name, history})
		}
		return a.showHistory(name, history)
	})
}

func (a *app) showHistory(name string, history []historyEntry) error {
	if len(history) == 0 {
		a.say("%s has no history yet", name)
		return nil
	}
	rows := [][]string{{"N", "OS", "STORE", "SET", "REPLACED", "REPLACED BY", "NOTES"}}
	for _, h := range history {
		notes := ""
		if h.Locked {
			notes = "locked "
		}
		if h.Lost {
			notes += "lost a conflict"
		}
		rows = append(rows, []string{strconv.Itoa(h.N), h.OSFormat, h.StoreFormat, h.Changed, clock(*h.Replaced), who(h.Origin), notes})
	}
	return a.table("", rows)
}

func runHistoryRestore(ctx context.Context, a *app, name string, n int) error {
	return runVerb(ctx, a, restoreCredential(n), targetSource{names: []string{name}})
}

// restoreCredential puts an entry of the record back: today, and for good.
func restoreCredential(n int) verb {
	return verb{
		name: "restore credential" + exemptByWish, phrase: fmt.Sprintf("restore credential %d of", n), doing: "Restoring a credential", remembers: true,
		said: func(name string, _ []byte) string { return fmt.Sprintf("Credential %d of user `%s` restored", n, name) },
		wish: func(p person) (wish, error) {
			record := p.memory.Record
			if n > len(record) {
				return wish{}, &noEntryError{p.Name, n, len(record)}
			}
			entry := record[n-1]
			if entry.OS.Hash == "" {
				return wish{}, &noPasswordError{p.Name}
			}
			w := wish{Credential: entry.OS}
			w.LastChange, w.MustChange = today(), false
			if entry.Store.Hash != entry.OS.Hash {
				w.storeHash = entry.Store.Hash
			}
			return w, nil
		},
	}
}
