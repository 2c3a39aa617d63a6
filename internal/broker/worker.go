package broker

import (
	"context"
	"fmt"
	"os"
	"strings"

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
type workers struct{ bus *systemd.Bus }

func (w workers) open(ctx context.Context, a config.Application, o store.Options) (shadowsync.CredentialStore, error) {
	rights, err := storeworker.Needs(o)
	if err != nil {
		return nil, err
	}
	var capabilities []uintptr
	if rights.Folder {
		capabilities = driver.FolderCapabilities()
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot start a store worker: %w", err)
	}
	conn, err := worker.Connect(func(stdin *os.File) error {
		return w.bus.StartWorker(ctx, systemd.WorkerUnit{
			Name: unitPart(a.Name), UID: int(rights.UID), GID: int(rights.GID), Capabilities: capabilities,
			Binary: binary, Args: []string{storeworker.Command.Name}, Stdin: stdin,
		})
	})
	if err != nil {
		return nil, err
	}
	client, err := storeworker.Connect(ctx, conn, o)
	if err != nil {
		return nil, err // not client: a nil *Client would make a non-nil interface
	}
	return client, nil
}

// unitPart turns an application's name into a valid part of a unit name.
func unitPart(name string) string { return strings.ReplaceAll(name, ".", "-dot-") }
