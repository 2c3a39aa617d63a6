package storeworker

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Open opens a store as its driver requires: in this process, or in a worker that is its child.
func Open(ctx context.Context, options store.Options) (shadowsync.CredentialStore, error) {
	d, err := store.Find(options.Driver)
	if err != nil {
		return nil, err
	}
	if d.Placement(options) == driver.InProcess {
		return d.Open(ctx, options)
	}
	options, err = Equip(ctx, options, Lookup)
	if err != nil {
		return nil, err
	}
	c, err := Spawn(ctx, options)
	if err != nil {
		return nil, err // a nil *Client would not be a nil interface
	}
	return c, nil
}

// Spawn starts a worker as a child and opens the store in it. The child gets the root of a mounted
// system as a descriptor. The child, not this process, looks up which rights it needs and gives up
// the others: a process whose call hangs in the kernel cannot end, and this one must be able to. The
// worker ends with Close, and with this process.
func Spawn(ctx context.Context, options store.Options) (*Client, error) {
	var handed []*os.File
	if !inroot.Live(options.Root) {
		// It may be mounted where the store's owner has no access: below /root, or in a folder of
		// mktemp(1).
		root, err := inroot.Open(options.Root, "/", unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return nil, driver.Unavailable(err)
		}
		defer root.Close()
		handed, options.Root = []*os.File{root}, worker.FirstFile
	}
	p, err := worker.Child(Command.Name, handed...)
	if err != nil {
		return nil, driver.Unavailable(err)
	}
	return connect(ctx, p.Conn, request{Options: &options, Become: true}, p.End)
}
