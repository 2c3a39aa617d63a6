package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type setupOptions struct {
	unit     string
	accounts []string
	driver   string   // of the store
	keys     []string // of the store: KEY=VALUE
	first    string
	dryRun   bool
	restart  bool // restart the applications, to see which store they set the OS accounts from
	page     setup.Page
}

func newSetup(a *app) *cobra.Command {
	var o setupOptions
	var web bool
	c := &cobra.Command{
		Use:   "setup [--unit UNIT --account NAME... --store DRIVER [KEY=VALUE...]]",
		Short: "Wire an application: configuration, first import, hooks, PAM lines, daemon",
		Long: "Writes the configuration (an existing one is kept), takes the accounts over as they\n" +
			"are, and installs the hooks of the application and the PAM lines. The PAM line that judges\n" +
			"new passwords is installed only if the configuration has rules for them. A second run changes\n" +
			"nothing, unless the configuration changed. Where OS and store differ already, it\n" +
			"shows both and wires nothing until --first says which side is right. More names and\n" +
			"KEY=VALUE pairs of the table [application.store] may follow as arguments.\n\n" +
			"--restart restarts the applications and watches whether each reads its store, sets the OS\n" +
			"accounts from there and leaves every password as it was. If not, setup fails and says that\n" +
			"the application keeps its passwords elsewhere. Use it after a passwd to see that the new\n" +
			"password survives a restart.\n\n" +
			"--web switches the page for browsers on: it adds [web] to the configuration, where that has\n" +
			"none, and makes what the page needs. --web=false takes both away again. A change of [web]\n" +
			"itself takes effect with the next setup.",
		Example: "  shadowsync setup --unit 128T.service --account admin user222 " + jsonStore + "\n" +
			"  shadowsync setup --unit app --account admin --store sqlite    # the application reads our database\n" +
			"  shadowsync setup --first os\n" +
			"  shadowsync setup --restart\n" +
			"  shadowsync setup --web",
		RunE: func(c *cobra.Command, given []string) error {
			if err := o.take(given); err != nil {
				return usageError(c, err)
			}
			if c.Flags().Changed("web") {
				o.page = pageFor(web)
			}
			return runSetup(c.Context(), a, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.unit, "unit", "", "the application's `unit`")
	f.StringSliceVar(&o.accounts, "account", nil, "an account to manage: its `name`; may be repeated")
	f.StringVar(&o.driver, "store", "", "the `driver` of its credential store: "+strings.Join(store.Names(), ", "))
	f.StringVar(&o.first, "first", "", "the `side` that is right where they differ already: os or store")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be done, and do nothing")
	f.BoolVar(&o.restart, "restart", false, "restart the applications, and watch that they set the OS accounts from their store")
	f.BoolVar(&web, "web", false, "switch the page for browsers on, or off with --web=false")
	completeFixed(c, "store", store.Names()...)
	completeFixed(c, "first", "os", "store")
	return c
}

func pageFor(on bool) setup.Page {
	if on {
		return setup.PageOn
	}
	return setup.PageOff
}

// take sorts the arguments into account names and keys of the store, and checks the flags.
func (o *setupOptions) take(given []string) error {
	for _, word := range given {
		if strings.Contains(word, "=") {
			o.keys = append(o.keys, word)
		} else {
			o.accounts = append(o.accounts, word)
		}
	}
	switch {
	case o.first != "" && o.side() == shadowsync.Neither:
		return fmt.Errorf("--first %s: must be os or store", o.first)
	case o.driver == "" && len(o.keys) > 0:
		return errors.New("KEY=VALUE is for a store that --store names")
	}
	return nil
}

func (o *setupOptions) side() shadowsync.Side {
	return syncOptions{prefer: o.first}.side()
}

// store returns the table [application.store] that the flags describe.
func (o *setupOptions) store() map[string]any {
	if o.driver == "" {
		return nil
	}
	table := map[string]any{"driver": o.driver}
	for _, pair := range o.keys {
		key, value, _ := strings.Cut(pair, "=")
		table[key] = value
	}
	return table
}

func runSetup(ctx context.Context, a *app, o setupOptions) error {
	if a.uid != 0 {
		return fmt.Errorf("cannot set up: %w", notRootError{})
	}
	if o.restart && a.mounted() {
		return mark(errors.New("cannot use --restart with --root: nothing of that system runs"), errUsage)
	}
	stop := a.progress("Setting up")
	result, err := setup.Run(ctx, setup.Options{
		Root: a.root, Config: a.config, Binary: installedAt, Unit: o.unit, Accounts: o.accounts, Store: o.store(), First: o.side(), DryRun: o.dryRun, Restart: o.restart, Page: o.page,
	})
	stop()
	result.Failed = err != nil
	noted := a.recordWiring(ctx, "setup", result, err)
	var apart *setup.FirstDifferenceError
	if errors.As(err, &apart) {
		return errors.Join(a.showDifferences(apart), told(mark(err, errConflict)), noted)
	}
	return errors.Join(a.showSteps(result), err, a.advise(err), noted)
}

// showSteps shows what setup and remove did, also if they failed half-way.
func (a *app) showSteps(r setup.Result) error {
	if a.json {
		return a.printJSON(r)
	}
	if len(r.Steps) == 0 && len(r.Notes) == 0 {
		return nil
	}
	return a.sayLines(setupLabel, r.Print)
}

// setupLabel is the width of the word before what setup says of a step.
const setupLabel = 10

// sayLines prints another package's text for people, line by line. Each begins with a label of so
// many columns; without one, what is indented stays whole.
func (a *app) sayLines(label int, write func(io.Writer) error) error {
	var text bytes.Buffer
	if err := write(&text); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		line = printable.Quote(strings.TrimSuffix(line, "\n"))
		if label > 0 || !strings.HasPrefix(line, " ") {
			line = wrapped(line, a.width(), hanging(label, a.width()))
		}
		if !a.quiet {
			fmt.Fprintln(a.out, line)
		}
	}
	return nil
}

// advise prints the manual steps for a PAM stack.
func (a *app) advise(err error) error {
	var stack *setup.PAMError
	if !errors.As(err, &stack) {
		return nil
	}
	return a.sayLines(0, func(w io.Writer) error {
		_, err := io.WriteString(w, a.named(stack.Advice))
		return err
	})
}

// differences is the object that `setup --json` prints if a person must decide.
type differences struct {
	Differences []setup.Difference `json:"differences"`
}

var differenceColumns = []table.Column{
	{Head: "ACCOUNT"}, {Head: "OS"}, {Head: "CHANGED", Rank: 1}, {Head: "STORE"}, {Head: "CHANGED", Rank: 2}, {Head: "REASON", Wrap: true},
}

func (a *app) showDifferences(e *setup.FirstDifferenceError) error {
	if a.json {
		return a.printJSON(differences{e.Differences})
	}
	var rows [][]string
	for _, d := range e.Differences {
		rows = append(rows, []string{d.Account, d.OS.Format, d.OS.LastChange, d.Store.Format, d.Store.LastChange, d.Reason})
	}
	a.tell("OS and credential store differ, and nothing tells which is right. Nothing is wired.")
	return a.table("  ", differenceColumns, rows)
}
