// Package driver defines what a credential store's driver has beside its
// shadowsync.CredentialStore: its configuration, the process it runs in, and its
// errors for people.
//
//	driver.go    Driver and where it runs
//	embedded.go  Embedded: stores that are part of a backup
//	options.go   Options, from the table [application.store]
//	fault.go     Fault, the one error of a store as a whole
//	endpoint.go  Endpoint, of stores in a server
//	watch.go     Watch, for stores that are a file
//	rehearse.go  Rehearser: stores that can try a write
package driver

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Placement is the process that a driver runs in.
type Placement int

const (
	// InProcess: the caller, which is root, opens the store itself. Only for files of root's own.
	InProcess Placement = iota
	// OwnerWorker: a worker process with the uid and gid of the store file's owner,
	// so that the kernel decides what the driver may touch.
	OwnerWorker
	// FolderWorker is OwnerWorker, except for a file of another user's in a folder that only root can
	// change. Its owner cannot replace it there, so the worker is uid 0 with no other capabilities
	// than FolderCapabilities, confined to that folder. For drivers that replace one file, with
	// package safefile.
	FolderWorker
	// NetworkWorker: a worker process of a user that exists only for it, which reaches the store's
	// Endpoint and nothing else.
	NetworkWorker
)

// FolderCapabilities are all that a FolderWorker has of root's capabilities: to replace another user's
// file, and to give the new file the same owner, mode and access list.
func FolderCapabilities() []uintptr {
	return []uintptr{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER}
}

// Driver is one kind of credential store. Every function is required, unless its comment says what nil
// means.
type Driver struct {
	// Traits are for people who choose a driver. A driver must not promise more than its stores do.
	Traits Traits
	// Placement is the process that a store with these options needs: the one with the fewest rights.
	Placement func(Options) Placement
	// Fields are the most fields that a store of this driver can hold.
	Fields shadowsync.Fields
	// Keys are the driver's own keys in the table [application.store], for Options.Check and for
	// shadowsync.toml(5), each with what it must be and its description.
	Keys []key.Key
	// Validate returns what is wrong with the options, for people, without touching the store. It
	// begins with Options.Check.
	Validate func(Options) error
	// Prepare creates the store, empty, if that is the driver's duty, and leaves an existing one
	// alone. Open never creates one: a store that has vanished must not come back empty.
	Prepare func(context.Context, Options) error
	// Place returns what is wrong with the store's folder, if only root may write there. Nil: the
	// store may be in a folder of the application's.
	Place func(Options) error
	// File returns the store's file where another key than "path" names it; empty: it is none. Nil: "path".
	File func(Options) string
	// Plain returns, in one spelling, the keys that say where the store's values are and can say the same in
	// several ways, such as by a default. Nil: there are none.
	Plain func(Options) map[string]string
	// Endpoint is what a NetworkWorker must reach.
	Endpoint func(Options) Endpoint
	// ReloadPause is how long after its start, and after another reload, the store's server can be
	// reloaded; before, it ignores that. Nil: at once.
	ReloadPause func(Options) time.Duration
	// Image is for drivers whose stores are Embedded. Nil: backups do not include the store.
	Image *Image
	// Open makes the store ready for use. It need not be available yet: then the store's calls tell, or
	// Open does with ErrUnavailable. Root may be a folder where a system is mounted: its files are opened
	// below that.
	Open func(context.Context, Options) (shadowsync.CredentialStore, error)
}

// PauseBeforeReload is ReloadPause, or none.
func (d Driver) PauseBeforeReload(o Options) time.Duration {
	if d.ReloadPause == nil {
		return 0
	}
	return d.ReloadPause(o)
}

// Traits are by what an administrator chooses a driver, for `shadowsync store drivers`. Package
// storetest tests that they are true.
type Traits struct {
	Doc     string   // what its stores are, as in "a JSON file of the application's"
	Schemes []string // that a store's values may be of, by Options.Choose; none: crypt(3) alone
	Creates bool     // it adds an account; else only the application does
	Polled  bool     // its stores announce no change (ErrNoWatch): they are asked every 30 seconds
	// Blind: a write does not compare and swap. Between the last look at a value and its replacement, a
	// change of the application's may be lost.
	Blind bool
}

// NothingToPrepare is the Prepare of stores that the application creates.
func NothingToPrepare(context.Context, Options) error { return nil }
