// Command shadowsync-web is the page where people change their password and get back in, from a browser. It
// runs on demand, as an account without rights: see the packages front and page below it, and package web
// for what it asks of the daemon.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/cmd/shadowsync-web/front"
	"github.com/shadowsync/shadowsync/cmd/shadowsync-web/page"
	"github.com/shadowsync/shadowsync/internal/term/exit"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// The linker sets version, for example with -X main.version=1.2.3.
var version = "devel"

func main() { os.Exit(run(os.Args[1:])) }

func run(arguments []string) int {
	set := flag.NewFlagSet("shadowsync-web", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	man := set.Bool("man", false, "")
	showVersion := set.Bool("version", false, "")
	err := set.Parse(arguments)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("unknown argument %q", set.Arg(0))
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
		return exit.Done
	case err != nil:
		fmt.Fprintf(os.Stderr, "shadowsync-web: %v\n%s", err, usage)
		return exit.Usage
	case *man:
		fmt.Print(manPage(version))
		return exit.Done
	case *showVersion:
		fmt.Println("shadowsync-web", version)
		return exit.Done
	}
	harden()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, os.Interrupt)
	defer stop()
	switch err := serve(ctx); {
	case errors.Is(err, front.ErrNoSocket):
		fmt.Fprintln(os.Stderr, "shadowsync-web:", err)
		return exit.Usage
	case err != nil:
		fmt.Fprintln(os.Stderr, "shadowsync-web:", err)
		return exit.Failed
	}
	return exit.Done
}

// serve answers on the socket that systemd passed, until the process has nothing to do or holds what it
// should not keep.
func serve(ctx context.Context) error {
	listener, err := front.Listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	pair, err := front.Pair(os.Getenv("CREDENTIALS_DIRECTORY"), listener.Addr())
	if err != nil {
		return err
	}
	var settings front.Settings
	var daemonClient web.Client
	_ = settings.Refresh(ctx, daemonClient) // the pages say it if the daemon is down
	go settings.Keep(ctx, daemonClient)
	life := front.NewLife()
	site := &page.Site{
		Client:      daemonClient,
		Settings:    settings.Get,
		Address:     settings.Address,
		Secret:      life.Secret,
		Unreachable: life.Unreachable,
		Log:         slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	handler := front.Rated(site.Handler(), site.TooMany(), settings.Address)
	_, _ = daemon.SdNotify(true, daemon.SdNotifyReady) // started by hand, nobody waits for it
	return front.Serve(ctx, front.Limited(listener, settings.Proxy), pair, handler, life)
}

const usage = `usage: shadowsync-web
  --version  print the version

systemd starts it, from shadowsync-web.socket; shadowsync setup --web switches that on.
`

// harden keeps passwords out of core dumps, and keeps other processes of the same user from reading this
// process's memory.
func harden() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
