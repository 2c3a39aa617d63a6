package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// generatedBytes of the kernel's randomness are 192 bits, or 32 characters of the
// alphabet that needs no quoting in an address or a shell.
const generatedBytes = 24

// generatePassword returns 32 characters of A-Z, a-z, 0-9, "-" and "_".
func generatePassword() []byte {
	var random [generatedBytes]byte
	defer wipe(random[:])
	rand.Read(random[:]) // never fails: it ends the process if the kernel has no randomness
	return base64.RawURLEncoding.AppendEncode(make([]byte, 0, base64.RawURLEncoding.EncodedLen(generatedBytes)), random[:])
}

// maxExpiry is shadow(5)'s way to say that a password does not expire.
const maxExpiry = 99999

type resetPasswordOptions struct {
	targets    targetSource
	expiry     int   // days; 0: the default
	mustChange *bool // nil: as it is
	unlock     bool
}

func newResetPassword(a *app) *cobra.Command {
	var o resetPasswordOptions
	var mustChange string
	c := &cobra.Command{
		Use:   "password {NAME... | --from FILE}",
		Short: "Set a generated password on both sides, and print it once",
		Long: "Sets a password of 192 random bits and prints it, once, when it is durable; it is kept\n" +
			"nowhere. It expires after --expiry days: without that, after the configuration's\n" +
			"password.expiry_days (760 unless set), password.max_days or the account's own maximum,\n" +
			"whichever is shortest. That becomes the account's maximum, for later passwords too, until\n" +
			"another --expiry, or chage --maxdays DAYS NAME, sets another one.\n" +
			"Without --must-change the account's flag stays as it is. A locked account stays locked,\n" +
			"unless --unlock brings it back whole: lock mark, expiry and failure counter go with the\n" +
			"same change.",
		Example: "  shadowsync user reset password admin --must-change true\n  shadowsync user reset password admin --unlock",
		Args:    cobra.ArbitraryArgs, ValidArgsFunction: a.completeAccounts(0),
		RunE: func(c *cobra.Command, names []string) error {
			o.targets.names = names
			if err := o.read(c, mustChange); err != nil {
				return usageError(c, err)
			}
			return runResetPassword(c.Context(), a, o)
		},
	}
	c.Flags().IntVar(&o.expiry, "expiry", 0, "`days` until the password must be changed, 1 to 99999")
	c.Flags().StringVar(&mustChange, "must-change", "", "`true or false`: whether the next login must set a new one")
	c.Flags().BoolVar(&o.unlock, "unlock", false, "also unlock the account, lift its expiry and clear its failure counter")
	o.targets.addFlag(c, "names, one a line,")
	completeFixed(c, "must-change", "true", "false")
	return c
}

// read checks the flags: absent and false are not the same.
func (o *resetPasswordOptions) read(c *cobra.Command, mustChange string) error {
	if c.Flags().Changed("expiry") && (o.expiry < 1 || o.expiry > maxExpiry) {
		return fmt.Errorf("--expiry %d: must be from 1 to %d days", o.expiry, maxExpiry)
	}
	if c.Flags().Changed("must-change") {
		value, err := strconv.ParseBool(mustChange)
		if err != nil {
			return fmt.Errorf("--must-change %q: must be true or false", mustChange)
		}
		o.mustChange = &value
	}
	return o.targets.check()
}

func runResetPassword(ctx context.Context, a *app, o resetPasswordOptions) error {
	harden()
	return a.with(ctx, func(e *engine.Engine) error {
		return a.carryOut(ctx, e, resetPassword(o, e.Config.Password), o.targets)
	})
}

func resetPassword(o resetPasswordOptions, c config.Password) verb {
	v := verb{
		name: "reset password", phrase: "reset the password of", doing: "Resetting passwords", generates: true,
		said: func(name string, secret []byte) string {
			return fmt.Sprintf("Password for user `%s` reset to `%s`", name, secret)
		},
		wish: func(p person) (wish, error) { return o.wish(p, c), nil },
	}
	if o.unlock {
		v.name, v.forgives, v.remembers = "reset password, unlock", true, true
	}
	if c.MaxDays > 0 && o.expiry > c.MaxDays {
		v.name += exemptByExpiry
	}
	return v
}

// wish is the account with the new password, which ages as the configuration says. Its
// maximum age is the one asked for, or the shortest of the default, the rule's and the account's own.
func (o resetPasswordOptions) wish(p person, c config.Password) wish {
	aged, fields := c.Aged(p.Credential)
	w := wish{Credential: aged, fields: fields | shadowsync.FieldsPassword | shadowsync.FieldMax}
	w.Hash = p.hash
	if o.mustChange != nil {
		w.MustChange = *o.mustChange
	}
	w.LastChange = today()
	if w.MustChange { // shadow(5) has one field for both
		w.LastChange = shadowsync.NoDay
	}
	w.Max = shadowsync.Day(cmp.Or(o.expiry, c.ExpiryDays))
	for _, shorter := range []shadowsync.Day{aged.Max, p.Max} {
		if o.expiry == 0 && shorter != shadowsync.NoDay {
			w.Max = min(w.Max, shorter)
		}
	}
	if w.Min > w.Max { // or nobody could ever change it
		w.Min = w.Max
		w.fields |= shadowsync.FieldMin
	}
	if o.unlock {
		w.Locked, w.Expire = false, openExpiry(p)
		w.fields |= shadowsync.FieldLocked | shadowsync.FieldExpire
	}
	return w
}
