package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// workers starts store workers in transient units, each with a sandbox of its own. A child of the
// broker would share the broker's sandbox, in which no store can be written.
type workers struct{ helpers *worker.Helpers }

// The broker cannot look into every folder: in one that only the application may enter, the worker
// looks up its rights itself.
func (w workers) open(ctx context.Context, a config.Application, o store.Options) (shadowsync.CredentialStore, error) {
	o, err := storeworker.Equip(ctx, o, storeworker.LookupBy(w.resolver))
	if err != nil {
		return nil, err
	}
	unit, err := unitOf(o)
	looks := errors.Is(err, unix.EACCES)
	if looks {
		unit, err = systemd.WorkerUnit{Capabilities: storeworker.LookCapabilities()}, nil
	}
	if err != nil {
		return nil, err
	}
	unit.Name, unit.Binary, unit.Args = unitPart(a.Name), w.helpers.Binary, []string{storeworker.Command.Name}
	conn, err := worker.Connect(func(stdin *os.File) error {
		unit.Stdin = stdin
		return w.helpers.Bus.StartWorker(ctx, unit)
	})
	if err != nil {
		return nil, err
	}
	connect := storeworker.Connect
	if looks {
		connect = storeworker.ConnectLooking
	}
	client, err := connect(ctx, conn, o)
	if err != nil {
		return nil, err // not client: a nil *Client would make a non-nil interface
	}
	return client, nil
}

// resolver starts a process that finds the address of a store's server: the broker has no network.
func (w workers) resolver(ctx context.Context) (*worker.Process, error) {
	return w.helpers.Start(ctx, storeworker.ResolveCommand.Name, systemd.HelperUnit{
		Name: w.helpers.Name("resolve-"), What: "Address of a credential store", Deadline: 2 * storeworker.ResolveWithin, Network: true,
	})
}

// unitOf describes the unit in which a store's worker has what the driver needs.
func unitOf(o store.Options) (u systemd.WorkerUnit, err error) {
	d, err := store.Find(o.Driver)
	if err != nil {
		return u, err
	}
	if d.Placement(o) == driver.NetworkWorker {
		u.Credential = o.Text(driver.Credential.Name)
		u.Network, err = storeworker.Reach(o)
		return u, err
	}
	rights, err := storeworker.Needs(o)
	if rights.Folder {
		u.Capabilities = driver.FolderCapabilities()
	}
	u.UID, u.GID = int(rights.UID), int(rights.GID)
	return u, err
}

// longestPart is the length of the longest part of a worker's unit name (systemd.WorkerUnit).
const longestPart = 64

// unitPart turns the name of an application's store into a valid part of a unit name, and each name into
// another one: to start a worker ends the one of the same name.
func unitPart(name string) string {
	const dot = "-dot-"
	part := strings.ReplaceAll(name, ".", dot)
	if len(part) <= longestPart && !strings.Contains(name, dot) {
		return part
	}
	sum := sha256.Sum256([]byte(name))
	last := "-" + hex.EncodeToString(sum[:8])
	return part[:min(len(part), longestPart-len(last))] + last
}
