package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

type statusOptions struct{ check bool }

func newStatus(a *app) *cobra.Command {
	var o statusOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "Show whether OS and store agree, and why not",
		Long: "Shows each application with its accounts: in-sync, queued (a difference that nobody\n" +
			"has worked on yet), pending (the store could not take it yet), conflict, needs-login\n" +
			"(the store takes another hash format, which the account's next login or password change\n" +
			"gives it), missing (gone on one side). Changes nothing.\n\n" +
			"--check passes over needs-login where both sides hold the same password and the\n" +
			"application alone cannot verify it.",
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return runStatus(c.Context(), a, o) },
	}
	c.Flags().BoolVar(&o.check, "check", false, "exit with 3 unless all is in sync and every store answers")
	return c
}

func runStatus(ctx context.Context, a *app, o statusOptions) error {
	s, err := a.inspect(ctx)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(s)
	} else {
		err = a.showStatus(s)
	}
	if err == nil && o.check {
		return s.check()
	}
	return err
}

// check is the error of a system that is not in sync. A store that cannot be
// read may hold anything.
func (s systemStatus) check() error {
	var apart []string
	for _, application := range s.Applications {
		if application.Store.State != storeOK {
			apart = append(apart, application.Name+"'s store")
		}
		for _, account := range application.Accounts {
			if account.wrong() && !account.agrees {
				apart = append(apart, account.Name)
			}
		}
	}
	if len(apart) == 0 {
		return nil
	}
	return told(mark(errors.New(listed(apart)), errNotInSync))
}

// showStatus prints what is wrong first: with a thousand accounts nobody looks further.
func (a *app) showStatus(s systemStatus) error {
	for i, application := range s.Applications {
		if i > 0 {
			a.say("")
		}
		a.say("%s", application.headline())
		if application.Store.State != storeOK {
			a.say("  store: %s: %s", application.Store.State, application.Store.Reason)
		}
		if err := a.showAccounts(application.Accounts); err != nil {
			return err
		}
	}
	return nil
}

func (s applicationStatus) headline() string {
	text := fmt.Sprintf("%s  %s (%s)  store %s (%s)  guard %s", s.Name, s.Unit, s.UnitState, s.Store.Driver, s.Store.State, s.Guard)
	if len(s.GuardAccounts) > 0 {
		text += " for " + listed(s.GuardAccounts)
	}
	if s.GuardUntil != nil {
		text += " until " + clock(*s.GuardUntil)
	}
	return text
}

func (a *app) showAccounts(accounts []accountStatus) error {
	sorted := slices.SortedStableFunc(slices.Values(accounts), func(x, y accountStatus) int {
		return cmp.Compare(urgency[x.State], urgency[y.State])
	})
	rows := [][]string{{"ACCOUNT", "STATE", "SINCE", "LAST CHANGE", ""}}
	for _, account := range sorted {
		rows = append(rows, account.row())
	}
	if err := a.table("  ", rows); err != nil {
		return err
	}
	for _, account := range sorted {
		if account.wrong() {
			a.explain(account)
		}
	}
	return nil
}

func (s accountStatus) row() []string {
	row := []string{s.Name, string(s.State), "", "", ""}
	if s.PendingSince != nil {
		row[2] = clock(*s.PendingSince)
	}
	if s.LastChange != nil {
		row[3], row[4] = clock(s.LastChange.At), who(*s.LastChange)
	}
	return row
}

func (a *app) explain(s accountStatus) {
	a.say("")
	if s.Reason == nil {
		a.say("  %s: %s", s.Name, s.State)
	} else {
		a.say("  %s: %s: %s", s.Name, s.State, *s.Reason)
	}
	for _, command := range s.next() {
		a.say("    %s", command)
	}
}
