package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/broker"
)

func newDaemon(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "daemon", Short: "Run the broker (systemd does that)", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return runDaemon(c.Context(), a) },
	}
}

var errMountedDaemon = mark(errors.New("cannot work on a mounted system: only the running one has units"), errUsage)

// collectAt is how much the heap may grow, in percent, before garbage collection. The broker is
// nearly always idle; Go's default of 100 would cost it 2 MB more after each change.
const collectAt = 50

// runDaemon logs to standard error, which is the journal, and prints no times: the journal adds
// them.
func runDaemon(ctx context.Context, a *app) error {
	if a.mounted() {
		return errMountedDaemon
	}
	c, err := a.loadQuietly()
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
