package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
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
			"configuration's; --no-policy sets it even if they refuse it, and the audit says so.\n" +
			"Asks on the terminal unless --stdin or --fd says where to read it. NEW on the command\n" +
			"line works too, but process lists and the shell's history show it.\n\n" +
			"--from takes many accounts at once, in lines \"name:password\" as chpasswd does; if an\n" +
			"account is named twice, the last line counts. A CR at the end of a line and a byte order\n" +
			"mark before the first line do not belong to a password, also with --stdin and --fd. The\n" +
			"passwords are set in batches. If this is interrupted, each account has either its old or\n" +
			"its new password, and the output says which.",
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
	c.Flags().BoolVar(&o.noPolicy, "no-policy", false, "set it even if the password policy refuses it; recorded in the audit")
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
	_ = cleartext.Harden() // recovering a lost password must work in a container, too
	judge, dismiss := bulk.NoJudge, func() {}
	if !o.noPolicy {
		judge, dismiss = bulk.CallJudge(a.root)
	}
	defer dismiss()
	return a.with(ctx, func(e *engine.Engine) error {
		v := setPassword(e.Config.Password)
		var err error
		if v.Verb, err = v.JudgedBy(judge()); err != nil {
			return err
		}
		if o.targets.bulk() {
			return a.carryOut(ctx, e, v, o.targets)
		}
		t := bulk.Target{Name: o.targets.names[0]}
		r := a.newWork(e, v, false)
		if !o.token.given() && r.Unknown(ctx, t.Name) {
			return a.run(ctx, r, []bulk.Target{t}) // it reports the error before anybody is asked for a password
		}
		token, err := a.token(ctx, o.token, t.Name)
		defer cleartext.Wipe(token)
		if err != nil {
			t.Fault = fmt.Errorf("no password was read: %w", err)
		}
		t.Token = token
		return a.run(ctx, r, []bulk.Target{t})
	})
}

func setPassword(c config.Password) verb {
	return verb{
		Verb: bulk.SetPassword(c), phrase: "set the password of", doing: "Setting passwords",
		said: func(name string, _ []byte) string { return fmt.Sprintf("Password for user `%s` set", name) },
	}
}
