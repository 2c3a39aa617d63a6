// Command shadowsync is the root tool, the hooks and the daemon.
//
//	main.go      parse, run, print, exit
//	root.go      the command tree, and what every command is given
//	open.go      opening the engine; mounted.go for a system beneath --root
//	exit.go      the one table from error to exit status
//	hints.go     the one table from error to the next command
//	output.go    text and JSON, with foreign text made harmless
//	token.go     where a new password comes from; harden.go keeps it in memory
//	account.go   who is meant: accounts, applications
//
// Each command has a file of its own: a constructor, its options, and a function
// run… that needs no cobra.
package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/systemd"
)

// The linker sets these, as in -X main.version=1.2.3.
var (
	version = "devel"
	// installedAt is where make install puts the program: what is wired runs that one,
	// whichever one did the wiring.
	installedAt = systemd.DefaultBinary
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	command, err := newRoot(a).ExecuteContextC(ctx)
	os.Exit(a.finish(ctx, command, err))
}
