package broker

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/storeworker"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// workers starts store workers in transient units, each with a sandbox of its
// own: a child of the broker would share the broker's, in which no store can be
// written.
type workers struct{ bus *systemd.Bus }

func (w workers) open(ctx context.Context, a config.Application, o store.Options) (shadowsync.CredentialStore, error) {
	owner, err := storeworker.Owner(o)
	if err != nil {
		return nil, err
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot start a store worker: %w", err)
	}
	conn, theirs, err := socket.Pair()
	if err != nil {
		return nil, fmt.Errorf("cannot start a store worker: %w", err)
	}
	defer theirs.Close()
	err = w.bus.StartWorker(ctx, systemd.WorkerUnit{
		Name: unitPart(a.Name), UID: int(owner.UID), GID: int(owner.GID),
		Binary: binary, Args: []string{storeworker.Command}, Stdin: theirs,
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	client, err := storeworker.Connect(ctx, conn, o)
	if err != nil {
		return nil, err // and no nil *Client, which would not be a nil interface
	}
	return client, nil
}

// unitPart makes an application's name fit for a part of a unit's.
func unitPart(name string) string { return strings.ReplaceAll(name, ".", "-dot-") }
