package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/term/plural"
)

func newCheck2FA(a *app) *cobra.Command {
	source := tokenSource{fd: -1}
	c := &cobra.Command{
		Use: "2fa NAME", Short: "Try a code of an account's second factor",
		Long: "Takes a code, from the authenticator app or a recovery code, as a login does: it is used\n" +
			"up afterwards. Exits with 7 if the code is refused, and says why; a code of another time\n" +
			"tells by how much the two clocks differ.",
		Args: exactly(1), ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, names []string) error {
			return runCheck2FA(c.Context(), a, names[0], source)
		},
	}
	c.Flags().BoolVar(&source.stdin, "stdin", false, "read the code, one line, from standard input")
	return c
}

func runCheck2FA(ctx context.Context, a *app, name string, source tokenSource) error {
	return a.withFactor(ctx, name, "check 2fa", "cannot take a code of", func(w *factorWork) error {
		r, err := w.Of(ctx, w.subject)
		if err == nil && r.State != factor.Enrolled { // before anybody is asked for a code
			err = factor.ErrNotEnrolled
		}
		if err != nil {
			return w.failed(err)
		}
		var taken factor.Taken
		err = w.askCode(ctx, source, "Code for "+oneLine(name)+": ", func(code []byte) (err error) {
			taken, err = w.Check(ctx, factor.Attempt{Subject: w.subject, Code: code, Origin: w.origin()})
			return err
		})
		if err != nil {
			return err
		}
		if a.json {
			result := resultOf(r)
			result.RecoveryLeft, result.UsedRecovery = taken.RecoveryLeft, taken.Recovery
			return a.printJSON(result)
		}
		kind := "Code"
		if taken.Recovery {
			kind = "Recovery code"
		}
		a.say("%s of user `%s` is right, and used up now; %s left", kind, name, plural.Count(taken.RecoveryLeft, "recovery code"))
		return nil
	})
}
