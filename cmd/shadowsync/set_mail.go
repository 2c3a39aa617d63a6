package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

func newSetMail(a *app) *cobra.Command {
	var none bool
	c := &cobra.Command{
		Use: "mail NAME {ADDRESS | --none}", Short: "Set the mail address on record of an account",
		Long: "Keeps the address to which what concerns the account's second factor is sent. It is kept\n" +
			"by shadowsync alone, and outlives a reset of the factor.",
		Example: "  shadowsync user set mail admin admin@example.net\n  shadowsync user set mail admin --none",
		Args:    args(cobra.RangeArgs(1, 2)), ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, given []string) error {
			if none == (len(given) == 2) {
				return usageError(c, errors.New("give either ADDRESS or --none"))
			}
			return runSetMail(c.Context(), a, given[0], append(given, "")[1])
		},
	}
	c.Flags().BoolVar(&none, "none", false, "keep no address")
	return c
}

func runSetMail(ctx context.Context, a *app, name, address string) error {
	return a.withFactor(ctx, name, "set mail", "cannot set the mail address of", func(w *factorWork) error {
		if err := w.SetMail(ctx, w.subject, address, w.origin()); err != nil {
			return w.failed(err)
		}
		r, err := w.Of(ctx, w.subject)
		switch {
		case err != nil:
			return err
		case a.json:
			result := resultOf(r)
			result.Mail = r.Mail
			return a.printJSON(result)
		case address == "":
			a.say("Mail address of user `%s` removed", name)
		default:
			a.say("Mail address of user `%s` set to `%s`", name, address)
		}
		return nil
	})
}
