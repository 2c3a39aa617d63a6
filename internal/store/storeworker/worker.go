package storeworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Command runs a store's driver, as a hidden command of the root tool.
var Command = worker.Command{Name: "worker", Short: "Run a store's driver, for the daemon and the tool", Main: run}

// openTime bounds the wait for the first packet, which a client sends at once.
const openTime = 10 * time.Second

// errSuccessor: while systemd restarts the broker it starts the broker's workers again, each with the connection of
// the one before. The client asks that one, or waits for its answer. It gets none, so that it learns that its worker
// has ended.
var errSuccessor = errors.New("the first packet does not open a store, or did not come")

// run is the worker process: stdin is its connection. It ends when the client closes the
// connection.
func run(ctx context.Context, stdin *os.File) error {
	if err := confine(); err != nil {
		return fmt.Errorf("cannot confine the worker: %w", err)
	}
	conn, err := socket.FromFile(stdin)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := firstRequest(ctx, conn)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if errors.Is(err, errSuccessor) {
		return err
	}
	if err != nil {
		return errors.Join(err, conn.Send(ctx, answer{Fault: packError(err)}))
	}
	s, err := open(ctx, r)
	if err != nil {
		return errors.Join(err, conn.Send(ctx, answer{Fault: packError(err)}))
	}
	defer s.Close()
	capabilities := s.Capabilities()
	if err := conn.Send(ctx, answer{Capabilities: &capabilities}); err != nil {
		return err
	}
	err = Serve(ctx, conn, s)
	if ctx.Err() != nil {
		return nil // stopped: systemd stops workers with SIGTERM
	}
	return err
}

// open gives up what the store does not need, and opens it.
func open(ctx context.Context, r request) (shadowsync.CredentialStore, error) {
	d, err := store.Find(r.Options.Driver)
	if err == nil && r.Become {
		err = become(*r.Options, d, r.Looks)
	}
	if err == nil {
		err = confineTo(*r.Options, d)
	}
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, *r.Options)
}

func firstRequest(ctx context.Context, conn *socket.Conn) (request, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	var r request
	if err := conn.SetLimits(socket.MaxPacket, equipmentFiles); err != nil {
		return r, err
	}
	files, err := conn.Receive(ctx, &r)
	defer socket.CloseAll(files)
	if err != nil && ctx.Err() != nil || err == nil && (r.Op != opOpen || r.Options == nil) {
		return r, errSuccessor
	}
	if err == nil && r.Equipped {
		err = unpackEquipment(r.Options, files)
	}
	return r, err
}
