package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/admin/doctor"
	"github.com/shadowsync/shadowsync/internal/config"
)

var errTrial = errors.New("a store failed its test")

func newStoreTest(a *app) *cobra.Command {
	var account string
	c := &cobra.Command{
		Use:   "test [APPLICATION]",
		Short: "Try a configured store end to end, and say what fails and what to run next",
		Long: "Reads the managed accounts, compares their values with the configured scheme, tries a write and\n" +
			"undoes it where the store can, checks that a write which expects another value is refused, writes\n" +
			"each value as it is and reads it back, and looks whether the server can be reloaded. No value\n" +
			"changes, and nothing is reloaded. Each line is of what was just tried; after a failure, what\n" +
			"relies on it is not tried. Exits with 1 if a step fails.\n\n" +
			"APPLICATION is its name, or that of one of its stores as status shows it. Without it, all\n" +
			"stores are tried.\n\n" +
			"--account names an account of the store that is not managed, made for this: it gets the hash of\n" +
			"a random password, then its old value back, and the server is reloaded.",
		Args: args(cobra.MaximumNArgs(1)), ValidArgsFunction: a.completeApplications,
		RunE: func(c *cobra.Command, names []string) error {
			return runStoreTest(c.Context(), a, c, strings.Join(names, ""), account)
		},
	}
	c.Flags().StringVar(&account, "account", "", "change the value of the account `NAME` in the store, and put it back")
	_ = c.RegisterFlagCompletionFunc("account", cobra.NoFileCompletions) // a store does not list its accounts
	return c
}

// triedStores is the object that `store test --json` prints.
type triedStores struct {
	Stores []doctor.Tried `json:"stores"`
}

func runStoreTest(ctx context.Context, a *app, c *cobra.Command, name, account string) error {
	if a.uid != 0 {
		return fmt.Errorf("cannot try a store: %w", notRootError{})
	}
	conf, err := a.load()
	if err != nil {
		return err
	}
	holders, err := trialled(c, conf, name, account)
	if err != nil {
		return err
	}
	result, failed := triedStores{[]doctor.Tried{}}, 0
	stop := a.progress("Trying the store")
	for _, h := range holders {
		tried, tryErr := doctor.Trial{Config: conf, File: a.config, Root: a.root, Account: account}.Try(ctx, h)
		if err = tryErr; err != nil {
			break
		}
		for i := range tried.Checks {
			tried.Checks[i].Fix = a.named(tried.Checks[i].Fix)
		}
		failed += doctor.Result{Checks: tried.Checks}.Count(doctor.Fail)
		result.Stores = append(result.Stores, tried)
	}
	stop()
	if err = errors.Join(a.showTried(result), err); err == nil && failed > 0 {
		return told(errTrial)
	}
	return err
}

// trialled are the stores to try.
func trialled(c *cobra.Command, conf *config.Config, name, account string) ([]config.Application, error) {
	holders := conf.Applications
	if name != "" {
		holders = conf.Chosen(name)
		if application, there := conf.Named(name); there && application.First() && account == "" {
			holders = conf.Holders(application)
		}
	}
	if len(holders) == 0 {
		return nil, &noApplicationError{name}
	}
	if account == "" {
		return holders, nil
	}
	if len(holders) > 1 {
		return nil, usageError(c, errors.New("--account needs the name of one store, as status shows it"))
	}
	if _, managed := conf.Managing(account); managed {
		return nil, usageError(c, fmt.Errorf("%s is managed, and would have another password for a moment; name an account that was made for this", account))
	}
	return holders, nil
}

func (a *app) showTried(r triedStores) error {
	if a.json {
		return a.printJSON(r)
	}
	for _, tried := range r.Stores {
		a.say("Store %s (%s):", tried.Store, tried.Driver)
		result := doctor.Result{Checks: tried.Checks}
		if err := a.sayLines(result.Label(), func(w io.Writer) error { return result.Print(w) }); err != nil {
			return err
		}
	}
	return nil
}
