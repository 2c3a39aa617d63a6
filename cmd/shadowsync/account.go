package main

import (
	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
)

// selection is one application with the accounts of it that are meant.
type selection struct {
	application config.Application
	accounts    []string
	all         bool // nobody was named
}

// selected finds the applications of the named accounts, in the configuration's
// order; no name means all accounts of all applications.
func selected(c *config.Config, names []string) ([]selection, error) {
	byName := make(map[string]bool, len(names))
	for _, name := range names {
		if _, ok := c.Managing(name); !ok {
			return nil, &noAccountError{name}
		}
		byName[name] = true
	}
	var out []selection
	for _, a := range c.Applications {
		s := selection{application: a, all: len(names) == 0}
		for _, account := range a.Accounts {
			if s.all || byName[account] {
				s.accounts = append(s.accounts, account)
			}
		}
		if len(s.accounts) > 0 {
			out = append(out, s)
		}
	}
	return out, nil
}

// unitOf finds an application by its unit; empty means the only one there is.
func unitOf(c *config.Config, unit string) (config.Application, error) {
	if unit == "" && len(c.Applications) == 1 {
		return c.Applications[0], nil
	}
	a, ok := c.Application(unit)
	if !ok {
		return a, &noUnitError{unit}
	}
	return a, nil
}

// completeAccounts offers the configuration's accounts; up to n of them on one line, 0: any number.
func (a *app) completeAccounts(n int) cobra.CompletionFunc {
	return func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		if n > 0 && len(given) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.load()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, application := range c.Applications {
			names = append(names, application.Accounts...)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeUnits offers the configuration's units.
func (a *app) completeUnits(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	c, err := a.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var units []string
	for _, application := range c.Applications {
		units = append(units, application.Unit)
	}
	return units, cobra.ShellCompDirectiveNoFileComp
}

// completeFixed offers the values of a flag, which must exist, and no files.
func completeFixed(c *cobra.Command, flag string, values ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
