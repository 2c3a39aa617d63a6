package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type setPasswordOptions struct {
	targets  targetSource
	token    tokenSource
	noPolicy bool
}

func newSetPassword(a *app) *cobra.Command {
	o := setPasswordOptions{token: tokenSource{fd: -1}}
	c := &cobra.Command{
		Use:   "password {NAME [NEW] | --from FILE}",
		Short: "Set an account's password on both sides",
		Long: "Sets the password in the OS and in the application's credential store, and ends the\n" +
			"sessions that the old one opened. As with passwd by root, a locked account is unlocked.\n" +
			"The password must pass the machine's own rules (pam_pwquality, for root too) and the\n" +
			"configuration's; --no-policy sets it all the same, which goes on record.\n" +
			"Asks on the terminal unless --stdin or --fd says where to read it. NEW on the command\n" +
			"line works too, but process lists and the shell's history show it.\n\n" +
			"--from takes many accounts at once, in lines \"name:password\" as chpasswd does; where an\n" +
			"account is named twice, the last line counts. They are set in batches; interrupted, each\n" +
			"account has either its old or its new password, and is told of.",
		Example:           "  shadowsync user set password admin\n  shadowsync user set password --from passwords.txt",
		Args:              args(cobra.MaximumNArgs(2)),
		ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, given []string) error {
			if len(given) > 1 {
				o.token.argument = []byte(given[1])
			}
			o.targets.names = given[:min(1, len(given))]
			if err := o.check(); err != nil {
				return usageError(c, err)
			}
			return runSetPassword(c.Context(), a, o)
		},
	}
	c.Flags().BoolVar(&o.token.stdin, "stdin", false, "read the password, one line, from standard input")
	c.Flags().IntVar(&o.token.fd, "fd", -1, "read the password, one line, from file descriptor `n`")
	c.Flags().BoolVar(&o.noPolicy, "no-policy", false, "set it whatever the password policy says; the audit says so")
	o.targets.addFlag(c, `lines "name:password"`)
	return c
}

func (o setPasswordOptions) check() error {
	if err := errors.Join(o.targets.check(), o.token.check()); err != nil {
		return err
	}
	if o.targets.bulk() && (len(o.targets.names) > 0 || o.token.given()) {
		return errors.New("with --from, accounts and passwords come from the list alone")
	}
	return nil
}

func runSetPassword(ctx context.Context, a *app, o setPasswordOptions) error {
	harden()
	judge, dismiss := noJudge, func() {}
	if !o.noPolicy {
		judge, dismiss = callJudge(a.root)
	}
	defer dismiss()
	return a.with(ctx, func(e *engine.Engine) error {
		v, err := setPassword(e.Config.Password).judgedBy(judge())
		if err != nil {
			return err
		}
		if o.targets.bulk() {
			return a.carryOut(ctx, e, v, o.targets)
		}
		t := target{name: o.targets.names[0]}
		r := a.newErrand(e, v, false)
		if !o.token.given() && r.unknown(ctx, t.name) {
			return r.run(ctx, []target{t}) // which says so, before anybody is asked for a password
		}
		token, err := a.token(ctx, o.token, t.name)
		defer wipe(token)
		if err != nil {
			t.fault = fmt.Errorf("no password was read: %w", err)
		}
		t.token = token
		return r.run(ctx, []target{t})
	})
}

// setPassword does what passwd(1) by root does: a new hash without the lock mark,
// set today, with nothing left to change at the next login.
func setPassword(c config.Password) verb {
	return verb{
		name: "set password", phrase: "set the password of", doing: "Setting passwords", takesTokens: true,
		said: func(name string, _ []byte) string { return fmt.Sprintf("Password for user `%s` set", name) },
		wish: func(p person) (wish, error) {
			aged, fields := c.Aged(p.Credential)
			w := wish{Credential: aged, fields: fields | shadowsync.FieldsPassword | shadowsync.FieldLocked}
			w.Hash, w.Locked, w.LastChange, w.MustChange = p.hash, false, today(), false
			return w, nil
		},
	}
}

// carryOut reads the targets and carries a verb out on them.
func (a *app) carryOut(ctx context.Context, e *engine.Engine, v verb, s targetSource) error {
	targets, list, err := a.targets(ctx, s, v.takesTokens)
	defer wipe(list)
	r := a.newErrand(e, v, s.bulk() || len(s.names) > 1)
	if err != nil {
		return errors.Join(err, r.unread(ctx, err))
	}
	targets, again := lastOfEach(targets)
	if again > 0 {
		fmt.Fprintf(a.err, "shadowsync: warning: left out, for the same account is named again further on: %d\n", again)
	}
	return r.run(ctx, targets)
}

// unread puts a list that could not be read on record.
func (r *errand) unread(ctx context.Context, err error) error {
	return r.engine.Record(context.WithoutCancel(ctx), r.attempt(&job{}, err))
}

// unknown tells whether nothing can be set for an account, whatever its password.
func (r *errand) unknown(ctx context.Context, name string) bool {
	os, err := r.engine.Accounts.Read(ctx, []string{name})
	_, exists := os.Accounts[name]
	return err != nil || !exists || r.managers[name].Name == ""
}
