// Command demo plays the main job on a throwaway machine: a recovered password
// that the next restart loses, and the same recovery with shadowsync, which
// lasts. "make run" starts it.
//
// It promises that commands are shown as they are typed and outputs as they
// came, that it fails where reality differs from what it claims, and that
// nothing of the machine is left when it ends, also by Ctrl-C. On a terminal it
// leaves the person in a root shell on the machine; anywhere else it ends by
// itself and prints no colour.
//
//	main.go     the machine from its boot to its end
//	script.go   what is typed, seen and claimed
//	play.go     playing it
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

	"github.com/shadowsync/shadowsync/internal/machine"
)

// bootLimit leaves time for the base tree, which is built the first time.
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

// interactive tells whether there is a person to hand the machine to.
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

// start boots a machine with the appliance on it.
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

// prepare has ssh(1) on the machine ask for one password and take the host key
// unseen, so that the commands of the script are as short as an administrator's.
func prepare(ctx context.Context, m *machine.Machine) error {
	const sshConfig = "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n" +
		"PreferredAuthentications password\nNumberOfPasswordPrompts 1\n"
	if err := m.WriteFile(ctx, "/etc/ssh/ssh_config.d/demo.conf", []byte(sshConfig), 0o644); err != nil {
		return err
	}
	return m.InstallAppliance(ctx, machine.Appliance{})
}
