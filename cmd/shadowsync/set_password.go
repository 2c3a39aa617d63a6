package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/broker"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/crypt/format"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type setPasswordOptions struct {
	account string
	token   tokenSource
}

func newSetPassword(a *app) *cobra.Command {
	o := setPasswordOptions{token: tokenSource{fd: -1}}
	c := &cobra.Command{
		Use:   "password NAME [NEW]",
		Short: "Set an account's password on both sides",
		Long: "Sets the password in the OS and in the application's credential store, and ends the\n" +
			"sessions that the old one opened. Asks on the terminal unless --stdin or --fd says\n" +
			"where to read it. NEW on the command line works too, but process lists and the\n" +
			"shell's history show it.",
		Args:              args(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, given []string) error {
			o.account = given[0]
			if len(given) > 1 {
				o.token.argument = []byte(given[1])
			}
			if err := o.token.check(); err != nil {
				return usageError(c, err)
			}
			return runSetPassword(c.Context(), a, o)
		},
	}
	c.Flags().BoolVar(&o.token.stdin, "stdin", false, "read the password, one line, from standard input")
	c.Flags().IntVar(&o.token.fd, "fd", -1, "read the password, one line, from file descriptor `n`")
	return c
}

func runSetPassword(ctx context.Context, a *app, o setPasswordOptions) error {
	harden()
	return a.with(ctx, func(e *engine.Engine) error {
		application, ok := e.Config.Managing(o.account)
		if !ok {
			return &noAccountError{o.account}
		}
		present, err := presentOS(ctx, e, o.account)
		if err != nil {
			return err
		}
		token, err := a.token(ctx, o.token, o.account)
		defer wipe(token)
		if err != nil {
			return fmt.Errorf("cannot read the new password: %w", err)
		}
		change, err := passwordChange(e, application, present, token)
		wipe(token)
		if err != nil {
			return fmt.Errorf("cannot set the password of %s: %w", o.account, err)
		}
		return a.set(ctx, e, application, change, fmt.Sprintf("Password for user `%s` set", o.account))
	})
}

func presentOS(ctx context.Context, e *engine.Engine, name string) (shadowsync.Account, error) {
	snapshot, err := e.Accounts.Read(ctx, []string{name})
	if err != nil {
		return shadowsync.Account{}, err
	}
	account, ok := snapshot.Accounts[name]
	if !ok {
		return account, fmt.Errorf("cannot change %s: the OS has no such account: %w", name, shadowsync.ErrNoAccount)
	}
	return account, nil
}

// passwordChange is what passwd(1) by root makes of an account: a new hash without
// the lock mark, set today, with nothing left to change at the next login.
func passwordChange(e *engine.Engine, application config.Application, present shadowsync.Account, token []byte) (shadowsync.Change, error) {
	method, err := crypt.MethodOfSystem(e.Root())
	if err != nil {
		return shadowsync.Change{}, err
	}
	hash, err := method.Generate(token)
	if err != nil {
		return shadowsync.Change{}, err
	}
	wanted := present.Credential
	wanted.Hash, wanted.Locked, wanted.LastChange, wanted.MustChange = hash, false, today(), false
	c := shadowsync.Change{Account: present.Name, OS: wanted, Origin: ourselves(e)}
	formats := e.Reconciler(application.Name).Store.Capabilities().Formats
	if !formats.Accept(hash) {
		if c.StoreHash, err = storeHash(formats, token); err != nil {
			return c, fmt.Errorf("%s's credential store cannot hold it: %w", application.Name, err)
		}
	}
	return c, nil
}

// storeHash makes the store's own hash, in the first of its formats that we can make.
func storeHash(formats shadowsync.Formats, token []byte) (string, error) {
	for _, prefix := range formats {
		for _, f := range format.Formats() {
			if f.CanGenerate() && f.Prefix() != "" && strings.HasPrefix(f.Prefix(), prefix) {
				return crypt.Generate(f, token)
			}
		}
	}
	return "", errors.New("it takes no hash format that shadowsync makes")
}

// setResult is the object that commands print with --json which set a credential.
type setResult struct {
	Name        string                 `json:"name"`
	Application string                 `json:"application"`
	State       shadowsync.ChangeState `json:"state"`
	Reason      *string                `json:"reason"`
}

// set makes a change of our own, on both sides, and tells how far it got.
func (a *app) set(ctx context.Context, e *engine.Engine, application config.Application, change shadowsync.Change, done string) error {
	stop := a.progress("Setting " + change.Account + "'s password")
	report, failed, err := e.Set(ctx, application.Name, []shadowsync.Change{change})
	stop()
	if failed == nil && err != nil { // nothing was written at all
		return fmt.Errorf("cannot change %s: %w", change.Account, err)
	}
	if why := failed[change.Account]; why != nil {
		return fmt.Errorf("cannot change %s: %w", change.Account, why)
	}
	if err != nil {
		a.say("%s", done)
		return mark(fmt.Errorf("cannot persist the change of %s: %w", change.Account, err), errNotInSync)
	}
	outcome, _ := report.For(change.Account)
	guarded := !a.mounted() && e.Config.Guard.Limit > 0
	if err := a.showSet(application, outcome, guarded, done); err != nil {
		return err
	}
	report.Outcomes = []shadowsync.Outcome{outcome}
	return errors.Join(outcomeError(report), a.endSessions(ctx, e, application))
}

func (a *app) showSet(application config.Application, o shadowsync.Outcome, guarded bool, done string) error {
	if a.json {
		r := setResult{Name: o.Account, Application: application.Name, State: o.State}
		if o.Reason != "" {
			r.Reason = &o.Reason
		}
		return a.printJSON(r)
	}
	a.say("%s", done)
	a.say("%s", broker.Message(application, o, guarded))
	return nil
}
