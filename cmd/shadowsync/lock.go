package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// lockedExpiry is the day on which a locked account expired, 1970-01-02: what
// usermod(8) says to set, since 0 means "never" to some programs (shadow(5), field 8).
const lockedExpiry shadowsync.Day = 1

type lockOptions struct {
	targets      targetSource
	passwordOnly bool
}

func newLock(a *app) *cobra.Command {
	return newLockVerb(a, "lock", "Lock accounts on both sides",
		"Locks the password and expires the account, so that ssh keys do not get in either.\n"+
			"Sessions that are open stay: shadowsync user logout ends them.", lockAccount)
}

func newUnlock(a *app) *cobra.Command {
	return newLockVerb(a, "unlock", "Unlock accounts on both sides",
		"Takes back what lock did, and clears the failure counter. The account's expiry becomes\n"+
			"what it was before, as far as that is on record and lies ahead; otherwise there is none.", unlockAccount)
}

func newLockVerb(a *app, name, short, long string, make func(lockOptions) verb) *cobra.Command {
	var o lockOptions
	c := &cobra.Command{
		Use: name + " {NAME... | --from FILE}", Short: short, Long: long,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: a.completeAccounts(0),
		RunE: func(c *cobra.Command, names []string) error {
			o.targets.names = names
			if err := o.targets.check(); err != nil {
				return usageError(c, err)
			}
			return runVerb(c.Context(), a, make(o), o.targets)
		},
	}
	c.Flags().BoolVar(&o.passwordOnly, "password-only", false, "leave the account's expiry alone: ssh keys get in")
	o.targets.addFlag(c, "names, one a line,")
	return c
}

// runVerb carries out a verb that needs no password.
func runVerb(ctx context.Context, a *app, v verb, s targetSource) error {
	return a.with(ctx, func(e *engine.Engine) error { return a.carryOut(ctx, e, v, s) })
}

func lockAccount(o lockOptions) verb {
	v := verb{
		name: "lock", phrase: "lock", doing: "Locking accounts", catchesUp: true,
		said: func(name string, _ []byte) string { return fmt.Sprintf("Locked user account `%s`", name) },
		wish: func(p person) (wish, error) {
			w := wish{Credential: p.Credential, fields: shadowsync.FieldLocked}
			w.Locked = true
			if !o.passwordOnly {
				w.Expire = lockedExpiry
				w.fields |= shadowsync.FieldExpire
			}
			return w, nil
		},
	}
	return o.named(v)
}

func unlockAccount(o lockOptions) verb {
	v := verb{
		name: "unlock", phrase: "unlock", doing: "Unlocking accounts", forgives: true, remembers: true,
		said: func(name string, _ []byte) string { return fmt.Sprintf("Unlocked user account `%s`", name) },
		wish: func(p person) (wish, error) {
			// Without the mark the field would be empty, and the account open to everybody.
			if p.Locked && strings.Trim(p.Hash, "!") == "" {
				return wish{}, &noPasswordError{p.Name}
			}
			w := wish{Credential: p.Credential, fields: shadowsync.FieldLocked}
			w.Locked = false
			if !o.passwordOnly {
				w.Expire = openExpiry(p)
				w.fields |= shadowsync.FieldExpire
			}
			return w, nil
		},
	}
	return o.named(v)
}

func (o lockOptions) named(v verb) verb {
	if o.passwordOnly {
		v.name += " the password only"
	}
	return v
}

// openExpiry is the account's expiry, or, where that keeps it out today, the
// latest on record that does not; none if there is no such.
func openExpiry(p person) shadowsync.Day {
	open := func(d shadowsync.Day) bool { return d == shadowsync.NoDay || d > today() }
	if open(p.Expire) {
		return p.Expire
	}
	if b := p.memory.Baseline; b != nil && open(b.OS.Expire) {
		return b.OS.Expire
	}
	for _, e := range p.memory.Record {
		if open(e.OS.Expire) {
			return e.OS.Expire
		}
	}
	return shadowsync.NoDay
}

// noPasswordError: an account that has no password to unlock.
type noPasswordError struct{ account string }

var errNoPassword = errors.New("it has no password")

func (e *noPasswordError) Error() string   { return errNoPassword.Error() }
func (e *noPasswordError) Unwrap() []error { return []error{errNoPassword, errPassword} }
