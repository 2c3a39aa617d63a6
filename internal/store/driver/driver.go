// Package driver is what a credential store's driver is made of, beside its
// shadowsync.CredentialStore: how it is configured, where it runs, and how it
// tells people what is wrong.
//
//	driver.go    Driver and where it runs
//	options.go   Options, from the table [application.store]
//	fault.go     Fault, the one error of a store as a whole
//	watch.go     Watch, for stores that are a file
package driver

import (
	"context"

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
)

// Driver is one kind of credential store. All its functions must be there.
type Driver struct {
	Placement func(Options) Placement
	// Fields are the most that a store of this driver holds.
	Fields shadowsync.Fields
	// Validate tells what is wrong with the options, for people, without touching the store.
	Validate func(Options) error
	// Prepare makes the store, empty, where that is the driver's duty; one that is
	// there is left alone. Open never makes one: a store that has vanished must not come back empty.
	Prepare func(context.Context, Options) error
	// Open makes the store ready for use. It need not be available yet.
	Open func(context.Context, Options) (shadowsync.CredentialStore, error)
}

// NothingToPrepare is the Prepare of stores that the application makes.
func NothingToPrepare(context.Context, Options) error { return nil }
