package driver

import (
	"context"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Row is an account of a store.
type Row struct {
	Name string
	shadowsync.StoredAccount
}

// Embedded is a store that shadowsync creates itself, so backups include it. All reading and
// writing goes through the store, in the process that its driver requires: the backup runs as root,
// and must not open a file in another user's folder.
type Embedded interface {
	shadowsync.CredentialStore
	// All returns every account of one consistent snapshot, sorted by name.
	All(context.Context) ([]Row, error)
	// Hold keeps all others from reading and writing the store until Close.
	Hold(context.Context) (Held, error)
}

// Held is a locked store: no one else reads or writes it.
type Held interface {
	// Replace replaces all accounts by these. Nothing is durable before Commit returns nil.
	Replace(context.Context, []Row) error
	Commit(context.Context) error
	// Close unlocks the store, and undoes what was not committed.
	Close() error
}

// Image defines the file, readable by root alone, that holds an embedded store's content in a
// backup.
type Image struct {
	// Default is the path of a store whose configuration names none.
	Default string
	// Write makes a new file at path with these accounts.
	Write func(ctx context.Context, path string, rows []Row) error
	// Read returns the accounts of such a file, which may be hostile.
	Read func(ctx context.Context, path string) ([]Row, error)
}
