package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func newStore(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "store",
		Short: "List the kinds of credential stores, or try one",
		Long: "A credential store is the application's own user database. Its driver, the key driver in\n" +
			"[application.store], says what kind it is. shadowsync.toml(5) describes the keys of each.",
	}
	c.AddCommand(newStoreDrivers(a), newStoreTest(a))
	return c
}

func newStoreDrivers(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "drivers", Short: "List the kinds of stores, and what each holds", Args: exactly(0),
		Long: "HOLDS is the most that a store of the driver holds: the hash, a lock mark, ageing. SCHEMES are\n" +
			"hashes of an application's own that it may hold instead of crypt(3)'s. RUNS AS says with whose\n" +
			"rights the store is opened. A watched store tells at once that the application wrote; others are\n" +
			"polled, every 30 seconds. SWAPS: a write compares and swaps, so that it undoes no change that\n" +
			"the application makes at the same time.",
		RunE: func(*cobra.Command, []string) error { return runStoreDrivers(a) },
	}
}

// driverTraits is a driver in the output of `store drivers --json`.
type driverTraits struct {
	Name           string   `json:"name"`
	Stores         string   `json:"stores"`
	Fields         []string `json:"fields"`
	Schemes        []string `json:"schemes"`
	Placement      string   `json:"placement"`
	Watched        bool     `json:"watched"`
	CompareAndSwap bool     `json:"compare_and_swap"`
	Creates        bool     `json:"creates"`
}

type driverList struct {
	Drivers []driverTraits `json:"drivers"`
}

var driverColumns = []table.Column{
	{Head: "DRIVER"},
	{Head: "STORES", Wrap: true},
	{Head: "HOLDS", Wrap: true},
	{Head: "SCHEMES", Wrap: true},
	{Head: "RUNS AS", Rank: 1, Wrap: true},
	{Head: "CHANGES"},
	{Head: "SWAPS"},
}

func runStoreDrivers(a *app) error {
	list := driverList{[]driverTraits{}}
	var rows [][]string
	for _, name := range store.Names() {
		d, err := store.Find(name)
		if err != nil {
			return err
		}
		t := traitsOf(name, d)
		list.Drivers = append(list.Drivers, t)
		changes, swaps := "watched", "yes"
		if !t.Watched {
			changes = "polled"
		}
		if !t.CompareAndSwap {
			swaps = "no"
		}
		rows = append(rows, []string{name, t.Stores, strings.Join(t.Fields, ", "), strings.Join(t.Schemes, ", "), placements[d.Placement(driver.Options{Driver: name})].people, changes, swaps})
	}
	if a.json {
		return a.printJSON(list)
	}
	return a.table("", driverColumns, rows)
}

// placements are the words for where a driver runs.
var placements = map[driver.Placement]struct{ script, people string }{
	driver.InProcess:     {"own", "root"},
	driver.OwnerWorker:   {"owner", "the file's owner"},
	driver.FolderWorker:  {"folder", "the file's owner, or root in one folder"},
	driver.NetworkWorker: {"network", "a user for one server"},
}

func traitsOf(name string, d driver.Driver) driverTraits {
	return driverTraits{
		Name: name, Stores: d.Traits.Doc, Fields: fieldNames(d.Fields), Schemes: append([]string{}, d.Traits.Schemes...),
		Placement: placements[d.Placement(driver.Options{Driver: name})].script,
		Watched:   !d.Traits.Polled, CompareAndSwap: !d.Traits.Blind, Creates: d.Traits.Creates,
	}
}

// fieldNames are the words for what a store holds.
func fieldNames(f shadowsync.Fields) (names []string) {
	for _, part := range []struct {
		fields shadowsync.Fields
		name   string
	}{
		{shadowsync.FieldHash, "hash"},
		{shadowsync.FieldLocked, "lock"},
		{shadowsync.AllFields &^ (shadowsync.FieldHash | shadowsync.FieldLocked), "ageing"},
	} {
		if f&part.fields != 0 {
			names = append(names, part.name)
		}
	}
	return names
}
