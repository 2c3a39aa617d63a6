// Appliance is the application of shadowsync's tests. It treats a machine as the session router of
// the project's first recovery report does:
//
//   - It keeps its own user database, with crypt(3) hashes, in a JSON file among the rest of its
//     configuration.
//   - At every start it rewrites the passwords of the OS accounts from that file.
//   - It keeps its users in memory and overwrites the file with them while it stops and, as an
//     option, every few seconds. This loses all changes that others made to the file since the
//     start.
//   - Its own user interface changes a password in memory and in the file.
//
// With -store=sqlite:PATH it is an application without its own user database, which uses
// shadowsync's embedded store.
//
// "appliance ask set NAME HASH" and "appliance ask list" are that interface.
//
//	main.go      the application from start to stop
//	store.go     its JSON file
//	sqlite.go    the embedded store, as the application reads it
//	accounts.go  how it changes the OS accounts
//	control.go   readiness, and commands of tests
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type options struct {
	store      string
	socket     string
	tool       string
	dumpEvery  time.Duration
	crashAfter time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.store, "store", "/var/lib/128technology/user-running.json", "the user database; sqlite:PATH is shadowsync's embedded store")
	flag.StringVar(&o.socket, "socket", "/run/appliance.sock", "where the user interface listens")
	flag.StringVar(&o.tool, "tool", "usermod", "what rewrites the OS accounts: usermod or chpasswd")
	flag.DurationVar(&o.dumpEvery, "dump-every", 0, "write the users in memory over the store again and again")
	flag.DurationVar(&o.crashAfter, "crash-after", 0, "exit with status 1, without a dump")
	flag.Parse()
	run := serve
	if flag.Arg(0) == "ask" {
		run = func(_ context.Context, o options) error { return ask(o.socket, strings.Join(flag.Args()[1:], " ")) }
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "appliance:", err)
		os.Exit(1)
	}
}

// A userStore contains the appliance's users.
type userStore interface {
	users() ([]user, error)
	set(name, hash string) error
	dump() error
}

func open(path string) (userStore, error) {
	if path, embedded := strings.CutPrefix(path, "sqlite:"); embedded {
		return database{path}, nil
	}
	return load(path)
}

var errCrash = errors.New("crashed, as asked to")

// serve runs the appliance from start to stop.
func serve(ctx context.Context, o options) error {
	store, err := open(o.store)
	if err != nil {
		return err
	}
	users, err := store.users()
	if err != nil {
		return err
	}
	if err := rewriteAccounts(ctx, o.tool, users); err != nil {
		return err
	}
	door, err := listen(o.socket, store)
	if err != nil {
		return err
	}
	defer door.Close()
	if err := notify("READY=1"); err != nil {
		return err
	}
	crash, dump := after(o.crashAfter), every(o.dumpEvery)
	for {
		select {
		case <-ctx.Done():
			return store.dump()
		case <-crash:
			return errCrash
		case <-dump:
			if err := store.dump(); err != nil {
				fmt.Fprintln(os.Stderr, "appliance:", err)
			}
		}
	}
}

// after and every return nil, a channel that never fires, for a duration of zero.
func after(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

func every(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.Tick(d)
}
