//go:build amd64

// Gate runs a command on a test machine step by step. Before the command, or a program that it starts, changes
// a name on the disk, truncates a file or executes a program, gate looks at the watched files. If they are as
// they have not been before, that is a step: gate says what has changed and what comes next, asks "go on?", and
// holds the command until it reads a line.
//
//	gate PATH... -- COMMAND [ARGUMENT...]
//
// A PATH is a file, a folder with all that is in it, or a pattern of those. The command writes to /run/gate.log.
// Programs that systemd starts are not held.
//
//	main.go      runs the command and answers
//	seccomp.go   has the kernel ask before each of these system calls: seccomp_unotify(2)
//	watched.go   what the watched files are like
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

const log = "/run/gate.log"

func main() {
	at := slices.Index(os.Args, "--")
	if at < 2 || at == len(os.Args)-1 {
		fmt.Fprintln(os.Stderr, "usage: gate PATH... -- COMMAND [ARGUMENT...]")
		os.Exit(2)
	}
	status, err := run(os.Args[1:at], os.Args[at+1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
		os.Exit(2)
	}
	fmt.Printf("ended: %d; go on? ", status)
}

// run holds the command at each step, and returns its exit status.
func run(watched, command []string) (int, error) {
	out, err := os.Create(log)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	runtime.LockOSThread() // the filter is this thread's, and is inherited by what it starts
	kernel, err := ask()
	if err != nil {
		return 0, err
	}
	failed := make(chan error, 1)
	go func() {
		failed <- (&gate{kernel: kernel, watched: watched, known: map[string]bool{}, input: bufio.NewReader(os.Stdin)}).serve()
	}()
	process := exec.Command(command[0], command[1:]...)
	process.Stdout, process.Stderr = out, out
	ended := make(chan error, 1)
	if err := process.Start(); err != nil {
		return 0, err
	}
	go func() { ended <- process.Wait() }()
	select {
	case err := <-failed:
		return 0, errors.Join(err, process.Process.Kill())
	case err := <-ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return 0, err
		}
		return process.ProcessState.ExitCode(), nil
	}
}

type gate struct {
	kernel  listener
	watched []string
	known   map[string]bool // what the watched files have been like
	last    snapshot
	input   *bufio.Reader
}

// serve answers the kernel until it reports that nothing is left which it could ask about.
func (g *gate) serve() error {
	for {
		call, err := g.kernel.receive()
		if err != nil {
			return err
		}
		if err := g.hold(call); err != nil {
			return err
		}
		if err := g.kernel.permit(call); err != nil {
			return err
		}
	}
}

func (g *gate) hold(call call) error {
	now := look(g.watched)
	if digest := now.digest(); g.known[digest] {
		return nil
	} else if g.known[digest] = true; g.last == nil {
		g.last = now // nothing has happened yet
		return nil
	}
	fmt.Printf("step %d: %s; next, %s; go on? ", len(g.known)-1, strings.Join(g.last.changes(now), ", "), call)
	g.last = now
	_, err := g.input.ReadString('\n')
	return err
}
