package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
)

// selection is one application and the selected accounts of it.
type selection struct {
	application config.Application
	accounts    []string
	all         bool // the command line named no account
}

// selected returns the applications of the named accounts, in the configuration's order, and the
// names that none of them manages. Without names it selects all accounts of all applications.
func selected(applications []config.Application, names []string) (parts []selection, unknown []string) {
	found := make(map[string]bool, len(names))
	for _, name := range names {
		found[name] = false
	}
	for _, a := range applications {
		s := selection{application: a, all: len(names) == 0}
		for _, account := range a.Accounts {
			_, named := found[account]
			if named {
				found[account] = true
			}
			if s.all || named {
				s.accounts = append(s.accounts, account)
			}
		}
		if s.all || len(s.accounts) > 0 {
			parts = append(parts, s)
		}
	}
	for _, name := range names {
		if !found[name] {
			unknown = append(unknown, name)
		}
	}
	return parts, unknown
}

// unmanaged is the error for names that no application manages; nil without names.
func unmanaged(names []string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, &config.UnmanagedError{Account: name})
	}
	return errors.Join(errs...)
}

// unitOf finds an application by its unit. An empty unit is accepted if there is only one
// application.
func unitOf(c *config.Config, unit string) (config.Application, error) {
	if all := c.Firsts(); unit == "" && len(all) == 1 {
		return all[0], nil
	}
	a, ok := c.Application(unit)
	if !ok {
		return a, &noUnitError{unit}
	}
	return a, nil
}

// completeAccounts offers the configuration's accounts, at most n on one line; 0 means no limit.
func (a *app) completeAccounts(n int) cobra.CompletionFunc {
	return func(_ *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
		if n > 0 && len(given) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.loadQuietly()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, application := range c.Firsts() {
			for _, name := range application.Accounts { // there may be a hundred thousand
				if strings.HasPrefix(name, begun) {
					names = append(names, name)
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeUnits offers the configuration's units.
func (a *app) completeUnits(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	c, err := a.loadQuietly()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var units []string
	for _, application := range c.Firsts() {
		units = append(units, application.Unit)
	}
	return units, cobra.ShellCompDirectiveNoFileComp
}

// completeFixed offers the values of an existing flag, and no files.
func completeFixed(c *cobra.Command, flag string, values ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
