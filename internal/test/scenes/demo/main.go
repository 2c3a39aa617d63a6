// Command demo shows the main use case on a throwaway machine: a recovered password that the next
// restart loses, and then the same recovery with shadowsync, which lasts. "make run" starts it.
//
// It shows commands as typed and outputs as they came. It fails if reality differs from the
// script's claims. It leaves nothing of the machine behind when it ends, even after Ctrl-C. On a
// terminal it then gives the person a root shell on the machine; otherwise it ends by itself and
// prints no colour.
//
//	main.go     the machine from its boot to its end
//	script.go   commands, and the results that they must have
//	play.go     running the script
//	shell.go    the shell at the end
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// bootLimit includes the time for building the base tree, which the first run does.
const bootLimit = 10 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Stdout, interactive())
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: interrupted; the machine is gone")
		os.Exit(130)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// interactive reports whether a person can use the machine's shell.
func interactive() bool {
	return term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
}

func run(ctx context.Context, out io.Writer, person bool) (err error) {
	if err := machine.Available(); err != nil {
		return err
	}
	p := &play{out: out, colour: person && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	p.say("Everything here happens on a throwaway Debian 12 machine. This host's accounts are not touched.")
	began := time.Now()
	m, err := start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	p.machine = m
	p.say("The machine is up after %.1f s.", time.Since(began).Seconds())
	for _, a := range script {
		if err := p.act(ctx, a); err != nil {
			return err
		}
	}
	p.say("\nAll of this was checked while it ran. It took %.0f s.", time.Since(began).Seconds())
	if !person {
		return nil
	}
	return p.handOver(ctx)
}

// start boots a machine that has the appliance.
func start(ctx context.Context) (*machine.Machine, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	m, err := machine.New(ctx, machine.Bookworm, machine.Options{})
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, m); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// prepare makes ssh(1) on the machine ask for a password only once and accept the host key, so that
// the script's commands are as short as an administrator's.
func prepare(ctx context.Context, m *machine.Machine) error {
	const sshConfig = "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n" +
		"PreferredAuthentications password\nNumberOfPasswordPrompts 1\n"
	if err := m.WriteFile(ctx, "/etc/ssh/ssh_config.d/demo.conf", []byte(sshConfig), 0o644); err != nil {
		return err
	}
	return m.InstallAppliance(ctx, machine.Appliance{})
}
