// Command trees builds missing trees for test machines, so that this can run beside a compilation.
// Without arguments it builds all that tests boot from, one after the other; else those that are
// named, as bookworm or bookworm+apps.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	"github.com/shadowsync/shadowsync/internal/test/machine/base"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "trees:", err)
		os.Exit(1)
	}
}

// run builds nothing if no machine can boot: the tests report why they are skipped.
func run(ctx context.Context, names []string) error {
	if bootable := machine.Available() == nil; !bootable {
		return nil
	}
	for _, kind := range base.Kinds {
		if len(names) > 0 && !slices.Contains(names, kind.Name()) {
			continue
		}
		tree, err := base.Open(ctx, kind, os.Stderr)
		if err != nil {
			return err
		}
		if err := tree.Close(); err != nil {
			return err
		}
	}
	return nil
}
