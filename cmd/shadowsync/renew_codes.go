package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newRenewCodes(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "codes NAME", Short: "Replace an account's recovery codes by ten new ones",
		Long: "Shows ten new recovery codes, once. The old ones are void, and the authenticator app\n" +
			"stays as it is.",
		Args: exactly(1), ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, names []string) error { return runRenewCodes(c.Context(), a, names[0]) },
	}
}

func runRenewCodes(ctx context.Context, a *app, name string) error {
	return a.withFactor(ctx, name, "renew 2fa codes", "cannot renew the recovery codes of", func(w *factorWork) error {
		if err := a.room(recoveryRoom); err != nil {
			return fmt.Errorf("cannot show recovery codes: %w", err)
		}
		codes, err := w.Renew(ctx, w.subject, w.origin())
		if err != nil {
			return w.failed(err)
		}
		return w.told(ctx, fmt.Sprintf("Recovery codes of user `%s` renewed\n", name), codes)
	})
}
