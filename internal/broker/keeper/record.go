package keeper

import (
	"context"
	"fmt"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Takes returns why the store could not take a change of the account now. It tests that by writing
// the present record over itself.
func (k *Keeper) Takes(ctx context.Context, account string) error {
	return k.record(ctx, account, func(store shadowsync.CredentialStore, now shadowsync.StoreSnapshot) error {
		if why, ok := now.Malformed[account]; ok {
			return fmt.Errorf("%s's credential store: %s: %w", k.application.Name, why, shadowsync.ErrMalformed)
		}
		record, there := now.Accounts[account]
		if !there {
			return fmt.Errorf("%s's credential store does not hold %s: %w", k.application.Name, account, shadowsync.ErrUnavailable)
		}
		return write(ctx, store, shadowsync.Write{Name: account, Expect: record.Credential, Want: record.Credential})
	})
}

// Accepts returns why a new account could not be added to the store now: a *RefusedError if only the
// application adds accounts and has not added this one.
func (k *Keeper) Accepts(ctx context.Context, account string) error {
	return k.record(ctx, account, func(store shadowsync.CredentialStore, now shadowsync.StoreSnapshot) error {
		if _, there := now.Accounts[account]; !there && !store.Capabilities().Creates {
			return &shadowsync.RefusedError{Reason: "the account is not in the store, and only the application can add it"}
		}
		return nil
	})
}

// Forget removes the account's record from the store.
func (k *Keeper) Forget(ctx context.Context, account string) error {
	return k.record(ctx, account, func(store shadowsync.CredentialStore, now shadowsync.StoreSnapshot) error {
		record, there := now.Accounts[account]
		if !there {
			return nil
		}
		return write(ctx, store, shadowsync.Write{Name: account, Expect: record.Credential, Delete: true})
	})
}

// record reads the account's record and calls use, with the keeper locked.
func (k *Keeper) record(ctx context.Context, account string, use func(shadowsync.CredentialStore, shadowsync.StoreSnapshot) error) error {
	end := k.Begin()
	defer end()
	store := k.engine().Reconciler(k.application.Name).Store
	now, err := store.Read(ctx, []string{account})
	if err != nil {
		return err
	}
	return use(store, now)
}

// write writes one record, and returns why the store refused it.
func write(ctx context.Context, store shadowsync.CredentialStore, w shadowsync.Write) error {
	refused, err := store.Write(ctx, []shadowsync.Write{w})
	if err != nil {
		return err
	}
	return refused[w.Name]
}
