package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
)

// checkHint is the command to run while the configuration cannot be used.
const checkHint = "shadowsync config check"

func newConfig(a *app) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check the configuration"}
	c.AddCommand(&cobra.Command{
		Use:   "check [FILE]",
		Short: "Say whether a configuration can be used, and which line is wrong",
		Long: "Reads the configuration as the broker and the hooks do, the credential stores' options\n" +
			"and the lists of accounts included, and names file, line and key of what is wrong.\n" +
			"Units and accounts that this system does not have are reported too, as by setup.\n" +
			"shadowsync.toml(5) describes every key.\n" +
			"Changes nothing. FILE checks another file than --config's, such as one that will replace it.\n\n" +
			"While the configuration cannot be used, the broker and the hooks go on with the last good\n" +
			"one. A copy of it is kept in " + engine.StateDir + ".",
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, given []string) error {
			return runConfigCheck(c.Context(), a, strings.Join(given, ""))
		},
	})
	return c
}

// configCheck is the object that `config check --json` prints.
type configCheck struct {
	File         string                  `json:"file"`
	Good         bool                    `json:"good"`
	Line         int                     `json:"line,omitempty"`
	Key          string                  `json:"key,omitempty"`
	Reason       *string                 `json:"reason"`
	Applications []configuredApplication `json:"applications"`
	Warnings     []string                `json:"warnings"`
}

type configuredApplication struct {
	Name     string   `json:"name"`
	Unit     string   `json:"unit"`
	Accounts []string `json:"accounts"`
	Stores   []string `json:"stores"` // the names under which status and the audit have them
}

// runConfigCheck checks a file; an empty name means the configuration in use.
func runConfigCheck(ctx context.Context, a *app, file string) error {
	if a.uid != 0 {
		return fmt.Errorf("cannot read the configuration: %w", notRootError{})
	}
	c, err := engine.CheckConfig(a.root, a.config)
	if file != "" {
		c, err = engine.CheckCandidate(a.root, file, a.config)
	}
	result := configCheck{File: cmp.Or(file, a.config), Good: err == nil, Applications: []configuredApplication{}, Warnings: []string{}}
	if err == nil {
		for _, application := range c.Firsts() {
			var stores []string
			for _, holder := range c.Holders(application) {
				stores = append(stores, holder.Name)
			}
			result.Applications = append(result.Applications, configuredApplication{application.Name, application.Unit, application.Accounts, stores})
		}
		if result.Warnings, err = a.dropped(ctx, c); err != nil {
			return err
		}
		if err = a.missing(ctx, c); err == nil {
			return a.showChecked(result)
		}
		result.Good = false
	}
	reason := err.Error()
	var fault *config.Fault
	if errors.As(err, &fault) {
		result.File, result.Line, result.Key, reason = fault.File, fault.Line, fault.Key, fault.Err.Error()
	}
	result.Reason = &reason
	if a.json {
		return errors.Join(a.printJSON(result), told(err))
	}
	if file == "" && !errors.As(err, new(*missingError)) {
		a.showKept()
	}
	return err
}

// missingError: the system lacks what the configuration names. The broker and the hooks use the
// configuration all the same.
type missingError struct{ fault *config.Fault }

func (e *missingError) Error() string {
	if e.fault.Line > 0 {
		return fmt.Sprintf("cannot manage everything that %s names: line %d: %v", e.fault.File, e.fault.Line, e.fault.Err)
	}
	return fmt.Sprintf("cannot manage everything that %s names: %v", e.fault.File, e.fault.Err)
}
func (e *missingError) Unwrap() error { return e.fault }

// missing says, as setup does, which units and accounts of a configuration the system lacks. The
// fault's line is that of the first.
func (a *app) missing(ctx context.Context, c *config.Config) error {
	all, err := setup.FindMissing(ctx, a.root, c)
	if err != nil || len(all) == 0 {
		return err
	}
	faults := make([]*config.Fault, len(all))
	for i, m := range all {
		faults[i] = c.ValueFault(m.Application, m.Key, m.Value, errors.New(m.Text))
	}
	text := faults[0].Err.Error()
	for _, f := range faults[1:] {
		if text += "; "; f.Line > 0 {
			text += fmt.Sprintf("line %d: ", f.Line)
		}
		text += f.Err.Error()
	}
	faults[0].Err = errors.New(text)
	return &missingError{faults[0]}
}

func (a *app) showChecked(r configCheck) error {
	for _, warning := range r.Warnings {
		a.warn("%s", a.named(warning))
	}
	if a.json {
		return a.printJSON(r)
	}
	accounts, stores := 0, 0
	for _, application := range r.Applications {
		accounts += len(application.Accounts)
		stores += len(application.Stores)
	}
	more := ""
	if stores > len(r.Applications) {
		more = fmt.Sprintf(", stores: %d", stores)
	}
	a.tell("%s is good (applications: %d%s, accounts: %d)", r.File, len(r.Applications), more, accounts)
	return nil
}

// showKept says which configuration the broker and the hooks use instead.
func (a *app) showKept() {
	if kept, err := config.Kept(a.root, engine.StateDir, a.config); err == nil {
		a.tell("The broker and the hooks go on with the last good one, kept at %s: %s", clock(kept.KeptAt), inroot.Shown(a.root, config.KeptPath(engine.StateDir, a.config)))
	}
}

// dropped warns of accounts that have a pending change but that a valid configuration no longer
// names: nothing would deliver the change any more.
func (a *app) dropped(ctx context.Context, c *config.Config) ([]string, error) {
	warnings := []string{}
	before, err := config.Kept(a.root, engine.StateDir, a.config)
	if known, unknown := a.hasState(); err != nil || unknown != nil || !known {
		return warnings, nil // setup has not run yet
	}
	db, err := state.OpenIn(ctx, a.root, engine.StateDir)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	for _, old := range before.Applications {
		now, there := c.Application(old.Unit)
		memory, err := db.Load(ctx, old.Name, nil)
		if err != nil {
			return nil, err
		}
		for _, name := range old.Accounts {
			m := memory.Accounts[name]
			if m.Open != nil && m.AtStake() && !(there && slices.Contains(now.Accounts, name)) {
				warning := fmt.Sprintf("it no longer lists %s of %s, whose last change the store has not taken: run shadowsync sync %s before you use it", name, old.Unit, name)
				if !slices.Contains(warnings, warning) { // of another store
					warnings = append(warnings, warning)
				}
			}
		}
	}
	return warnings, nil
}
