package main

import (
	"fmt"

	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/spf13/cobra"
)

// passwordFields explains shadowsync.Kind's table to people.
const passwordFields = `What a password field means, in /etc/shadow and in a credential store:
  HASH           a password
  !HASH, !!HASH  a password, locked: every leading ! is a lock mark; unlock removes them
  !, !!          locked, and no password: a lock on both sides; unlock fails, set a password
  *, !*          no password, keys only: carried to the other side; unlock fails, unless
                 lock had expired the account
  (empty)        no password is asked for: a conflict, never carried to the other side
  x, NP, *NP*    the password is kept elsewhere: a conflict, never carried to the other side`

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
			"what it was before if that is recorded and still lies ahead; otherwise there is none.\n\n"+
			passwordFields, unlockAccount)
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
	o.targets.addFlag(c, "names, one per line,")
	return c
}

func lockAccount(o lockOptions) verb {
	return verb{
		Verb: bulk.Lock(o.passwordOnly), phrase: "lock", doing: "Locking accounts",
		said: func(name string, _ []byte) string { return fmt.Sprintf("Locked user account `%s`", name) },
	}
}

func unlockAccount(o lockOptions) verb {
	return verb{
		Verb: bulk.Unlock(o.passwordOnly), phrase: "unlock", doing: "Unlocking accounts",
		said: func(name string, _ []byte) string { return fmt.Sprintf("Unlocked user account `%s`", name) },
		adds: func(p bulk.Person) string {
			if bulk.KeysOnly(p) {
				return " for its keys: it has no password"
			}
			return ""
		},
	}
}
