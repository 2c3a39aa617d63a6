package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/foreign"
	"github.com/shadowsync/shadowsync/internal/factor/qr"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
)

type enrolOptions struct {
	name     string
	picture  string // the file for the QR code
	imported string // the file of another program's secret
	code     tokenSource
}

func newEnrol2FA(a *app) *cobra.Command {
	o := enrolOptions{code: tokenSource{fd: -1}}
	c := &cobra.Command{
		Use: "2fa NAME", Short: "Enrol a second factor: codes of an authenticator app",
		Long: "Shows the setup key, and on a terminal its QR code, for any authenticator app (TOTP: RFC 6238,\n" +
			"SHA-1, 6 digits, 30 seconds). The account is enrolled as soon as the app's code is typed\n" +
			"here; until then nothing asks for one. Then it shows ten recovery codes, once.\n" +
			"--import takes the secret that the app already has: from a .google_authenticator file, or\n" +
			"the account's line of a users.oath.",
		Example: "  shadowsync user enrol 2fa admin\n  shadowsync user enrol 2fa admin --import /home/admin/.google_authenticator",
		Args:    exactly(1), ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, names []string) error {
			o.name = names[0]
			return runEnrol2FA(c.Context(), a, o)
		},
	}
	c.Flags().StringVar(&o.picture, "qr", "", "also write the QR code into a new PNG `file`, which only root can read")
	c.Flags().StringVar(&o.imported, "import", "", "take the secret from another program's `file`")
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
		secret, err := w.begin(ctx, o)
		defer clear(secret)
		if err == nil {
			err = w.showSecret(ctx, o, secret)
		}
		if err == nil {
			err = w.confirm(ctx, o)
		}
		return err
	})
}

// begin begins the enrolment with a new or an imported secret.
func (w *factorWork) begin(ctx context.Context, o enrolOptions) ([]byte, error) {
	b := factor.Beginning{Subject: w.subject, ByRoot: true, Origin: w.origin()}
	if o.imported != "" {
		secret, err := w.app.imported(ctx, o.imported, w.subject.Account)
		defer clear(secret)
		if err != nil {
			return nil, err
		}
		b.Secret = secret
	}
	secret, err := w.Begin(ctx, b)
	return secret, w.failed(err)
}

// imported reads another program's file, and says what of it is not taken.
func (a *app) imported(ctx context.Context, path, account string) ([]byte, error) {
	found, err := inTime(ctx, func() (foreign.Factor, error) {
		f, err := os.Open(path)
		if err != nil {
			return foreign.Factor{}, err
		}
		defer f.Close()
		return foreign.Read(f, account)
	})
	if err != nil {
		return nil, &sourceError{path, fmt.Errorf("cannot import a second factor from %s: %w", path, err)}
	}
	if len(found.NotTaken) > 0 {
		a.warn("not taken from %s: %s", path, strings.Join(found.NotTaken, ", "))
	}
	return found.Secret, nil
}

// showSecret shows the setup key first: it is what an app without a camera needs, and what stays
// readable if the terminal cannot draw the QR code.
func (w *factorWork) showSecret(ctx context.Context, o enrolOptions, secret []byte) error {
	a := w.app
	address := totp.Address(w.engine.Config.Issuer(), w.subject.Account, secret)
	if o.picture != "" {
		if err := writePicture(o.picture, address); err != nil {
			return err
		}
	}
	if a.json {
		r, err := w.Of(ctx, w.subject)
		if err != nil {
			return err
		}
		result := resultOf(r)
		result.SetupKey, result.Address = totp.SetupKey(secret), address
		return a.printJSON(result)
	}
	_, err := fmt.Fprintf(a.out, "Setup key: %s\n", totp.SetupKey(secret))
	if drawn, drawErr := qr.Terminal(address, true); err == nil && drawErr == nil && a.width() > 0 {
		_, err = io.WriteString(a.out, drawn)
	}
	if err == nil {
		_, err = fmt.Fprintln(a.out, "Address:   "+address)
	}
	return err
}

// writePicture writes the QR code into a new file.
func writePicture(path, address string) (err error) {
	picture, err := qr.PNG(address)
	defer clear(picture)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write the QR code: %w", err)
	}
	_, err = f.Write(picture)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write the QR code: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
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
