// Command trees builds missing base trees for test machines, so that this can run beside a
// compilation. Without arguments it builds those of all releases, one after the other.
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
	for _, release := range machine.Releases {
		if len(names) > 0 && !slices.Contains(names, string(release)) {
			continue
		}
		tree, err := base.Open(ctx, base.Kind{Release: release}, os.Stderr)
		if err != nil {
			return err
		}
		if err := tree.Close(); err != nil {
			return err
		}
	}
	return nil
}
