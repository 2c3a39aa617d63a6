package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
)

type enrolOptions struct {
	name string
	code tokenSource
}

func newEnrol2FA(a *app) *cobra.Command {
	o := enrolOptions{code: tokenSource{fd: -1}}
	c := &cobra.Command{
		Use: "2fa NAME", Short: "Enrol a second factor: codes of an authenticator app",
		Long: "Shows the setup key for any authenticator app (TOTP: RFC 6238,\n" +
			"SHA-1, 6 digits, 30 seconds). The account is enrolled as soon as the app's code is typed\n" +
			"here; until then nothing asks for one. Then it shows ten recovery codes, once.",
		Example: "  shadowsync user enrol 2fa admin",
		Args:    exactly(1), ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, names []string) error {
			o.name = names[0]
			return runEnrol2FA(c.Context(), a, o)
		},
	}
	c.Flags().BoolVar(&o.code.stdin, "stdin", false, "read the app's code, one line, from standard input")
	return c
}

func runEnrol2FA(ctx context.Context, a *app, o enrolOptions) error {
	return a.withFactor(ctx, o.name, "enrol 2fa", "cannot enrol a second factor for", func(w *factorWork) error {
		if !o.code.given() { // nothing is begun that could not be finished
			tty, err := a.terminal()
			if err != nil {
				return err
			}
			defer tty.Close()
		}
		secret, err := w.begin(ctx)
		defer clear(secret)
		if err == nil {
			err = w.showSecret(ctx, secret)
		}
		if err == nil {
			err = w.confirm(ctx, o)
		}
		return err
	})
}

// begin begins the enrolment with a new secret.
func (w *factorWork) begin(ctx context.Context) ([]byte, error) {
	b := factor.Beginning{Subject: w.subject, ByRoot: true, Origin: w.origin()}
	secret, err := w.Begin(ctx, b)
	return secret, w.failed(err)
}

// showSecret shows the setup key first: it is what an app without a camera needs, and what stays
// readable if the terminal cannot draw the QR code.
func (w *factorWork) showSecret(ctx context.Context, secret []byte) error {
	a := w.app
	address := totp.Address(w.engine.Config.Issuer(), w.subject.Account, secret)
	if a.json {
		r, err := w.Of(ctx, w.subject)
		if err != nil {
			return err
		}
		result := resultOf(r)
		result.SetupKey, result.Address = totp.SetupKey(secret), address
		return a.printJSON(result)
	}
	_, err := fmt.Fprintf(a.out, "Setup key: %s\nAddress:   %s\n", totp.SetupKey(secret), address)
	return err
}

// confirm asks for the app's code, enrols the account, and shows the recovery codes.
func (w *factorWork) confirm(ctx context.Context, o enrolOptions) error {
	if err := w.app.room(recoveryRoom); err != nil {
		return fmt.Errorf("cannot show recovery codes: %w", err)
	}
	var recovery []string
	err := w.askCode(ctx, o.code, "Code that the app shows now: ", func(code []byte) (err error) {
		recovery, err = w.Confirm(ctx, factor.Attempt{Subject: w.subject, Code: code, Origin: w.origin()})
		return err
	})
	if err != nil {
		return err
	}
	return w.told(ctx, fmt.Sprintf("Second factor of user `%s` enrolled\n", w.subject.Account), recovery)
}

// told reports a success with the recovery codes that came of it.
func (w *factorWork) told(ctx context.Context, said string, recovery []string) error {
	survivePipe()
	if w.app.json {
		r, err := w.Of(context.WithoutCancel(ctx), w.subject)
		result := resultOf(r)
		result.RecoveryCodes = recovery
		text, jsonErr := jsonText(result, "  ")
		if err := errors.Join(err, jsonErr); err != nil {
			return err
		}
		return w.app.shown(w.subject.Account, string(text))
	}
	return errors.Join(w.app.shown(w.subject.Account, said), w.app.showRecovery(w.subject.Account, recovery))
}
