package main

import (
	"context"
	"log/slog"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/broker"
)

func newDaemon(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "daemon", Short: "Run the broker, by systemd", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return runDaemon(c.Context(), a) },
	}
}

// collectAt is how much the heap may grow, in percent, before it is collected. The
// broker rests nearly always: Go's 100 would cost it 2 MB more after each change.
const collectAt = 50

// runDaemon logs to standard error, which is the journal. It shows no times: the
// journal has its own.
func runDaemon(ctx context.Context, a *app) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	debug.SetGCPercent(collectAt)
	untimed := func(_ []string, attr slog.Attr) slog.Attr {
		if attr.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attr
	}
	log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{ReplaceAttr: untimed}))
	return broker.Run(ctx, broker.Options{Config: c, File: a.config, Log: log, Probe: faultProbe()})
}
