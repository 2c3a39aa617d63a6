package store

import (
	"context"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// spelled is a store that spells the names of accounts in another way than the OS.
type spelled struct {
	shadowsync.CredentialStore
	as string
}

// spell returns a store under the OS's names. as is driver.Options.As.
func spell(s shadowsync.CredentialStore, as string) shadowsync.CredentialStore {
	if as == "" {
		return s
	}
	return spelled{s, as}
}

func (s spelled) there(name string) string { return shadowsync.Capabilities{As: s.as}.Spelt(name) }

// Read implements shadowsync.CredentialStore.
func (s spelled) Read(ctx context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	theirs := make([]string, len(names))
	for i, name := range names {
		theirs[i] = s.there(name)
	}
	got, err := s.CredentialStore.Read(ctx, theirs)
	if err != nil {
		return got, err
	}
	ours := shadowsync.StoreSnapshot{Revision: got.Revision, Accounts: map[string]shadowsync.StoredAccount{}, Malformed: map[string]string{}}
	for i, name := range names {
		if account, there := got.Accounts[theirs[i]]; there {
			ours.Accounts[name] = account
		}
		if why, there := got.Malformed[theirs[i]]; there {
			ours.Malformed[name] = why
		}
	}
	return ours, nil
}

// Write implements shadowsync.CredentialStore.
func (s spelled) Write(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	theirs := make([]shadowsync.Write, len(writes))
	for i, w := range writes {
		theirs[i] = w
		theirs[i].Name = s.there(w.Name)
	}
	got, err := s.CredentialStore.Write(ctx, theirs)
	left := make(shadowsync.Unwritten, len(got))
	for i, w := range writes {
		if why := got[theirs[i].Name]; why != nil {
			left[w.Name] = why
		}
	}
	return left, err
}

// Rehearse implements driver.Rehearser.
func (s spelled) Rehearse(ctx context.Context) error {
	if r, ok := s.CredentialStore.(driver.Rehearser); ok {
		return r.Rehearse(ctx)
	}
	return driver.ErrNoRehearsal
}
