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
)

// Command runs a store's driver, as a hidden command of the root tool.
var Command = worker.Command{Name: "worker", Short: "Run a store's driver, for the daemon and the tool", Main: run}

// openTime bounds the wait for the first packet, which a client sends at once.
const openTime = 10 * time.Second

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
	if err != nil {
		return err
	}
	if r.Become {
		if err := become(*r.Options); err != nil {
			return errors.Join(err, conn.Send(ctx, answer{Fault: packError(err)}))
		}
	}
	if err := confineTo(*r.Options); err != nil {
		return err
	}
	s, err := store.Open(ctx, *r.Options)
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

func firstRequest(ctx context.Context, conn *socket.Conn) (request, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	var r request
	files, err := conn.Receive(ctx, &r)
	for _, f := range files {
		_ = f.Close() // an unexpected descriptor
	}
	if err == nil && (r.Op != opOpen || r.Options == nil) {
		err = errors.New("the first packet does not open a store")
	}
	return r, err
}
