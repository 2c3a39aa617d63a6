package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
)

type resetPasswordOptions struct {
	targets targetSource
	bulk.Reset
}

func newResetPassword(a *app) *cobra.Command {
	var o resetPasswordOptions
	var mustChange string
	c := &cobra.Command{
		Use:   "password {NAME... | --from FILE}",
		Short: "Set a generated password on both sides, and print it once",
		Long: "Sets a password of 192 random bits and prints it once, when it is durable; it is stored\n" +
			"nowhere. It expires after --expiry days: without that, after the configuration's\n" +
			"password.expiry_days (760 unless set), password.max_days or the account's own maximum,\n" +
			"whichever is shortest. That becomes the account's maximum, for later passwords too, until\n" +
			"another --expiry, or chage --maxdays DAYS NAME, sets another one.\n" +
			"Without --must-change the account's flag stays as it is. A locked account stays locked,\n" +
			"unless --unlock is given: it removes lock mark, expiry and failure counter with the\n" +
			"same change.\n" +
			"With --reset-2fa a second factor that was lost is reset too, and a code is printed, once,\n" +
			"with which the account is enrolled anew: see user reset 2fa.",
		Example: "  shadowsync user reset password admin --must-change true\n  shadowsync user reset password admin --unlock --reset-2fa",
		Args:    cobra.ArbitraryArgs, ValidArgsFunction: a.completeAccounts(0),
		RunE: func(c *cobra.Command, names []string) error {
			o.targets.names = names
			if err := o.read(c, mustChange); err != nil {
				return usageError(c, err)
			}
			return runResetPassword(c.Context(), a, o)
		},
	}
	c.Flags().IntVar(&o.Expiry, "expiry", 0, "`days` until the password must be changed, 1 to 99999")
	c.Flags().StringVar(&mustChange, "must-change", "", "`true or false`: whether the next login must set a new one")
	c.Flags().BoolVar(&o.Unlock, "unlock", false, "also unlock the account, lift its expiry and clear its failure counter")
	c.Flags().BoolVar(&o.Factor, "reset-2fa", false, "also reset the second factor, and print an enrolment code")
	o.targets.addFlag(c, "names, one per line,")
	completeFixed(c, "must-change", "true", "false")
	return c
}

// read checks the flags. An absent flag differs from false.
func (o *resetPasswordOptions) read(c *cobra.Command, mustChange string) error {
	if c.Flags().Changed("expiry") && (o.Expiry < 1 || o.Expiry > bulk.MaxExpiry) {
		return fmt.Errorf("--expiry %d: must be from 1 to %d days", o.Expiry, bulk.MaxExpiry)
	}
	if c.Flags().Changed("must-change") {
		value, err := strconv.ParseBool(mustChange)
		if err != nil {
			return fmt.Errorf("--must-change %q: must be true or false", mustChange)
		}
		o.MustChange = &value
	}
	return o.targets.check()
}

func runResetPassword(ctx context.Context, a *app, o resetPasswordOptions) error {
	_ = cleartext.Harden() // recovering a lost password must work in a container, too
	return a.with(ctx, func(e *engine.Engine) error {
		return a.carryOut(ctx, e, resetPassword(o.Reset, e.Config.Password), o.targets)
	})
}

func resetPassword(o bulk.Reset, c config.Password) verb {
	return verb{
		Verb: bulk.ResetPassword(o, c), phrase: "reset the password of", doing: "Resetting passwords",
		said: func(name string, secret []byte) string {
			return fmt.Sprintf("Password for user `%s` reset to `%s`", name, secret)
		},
	}
}
