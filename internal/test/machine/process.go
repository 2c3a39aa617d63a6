package machine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A Process is a command in the background.
type Process struct {
	command *exec.Cmd
	output  *buffer
	done    chan struct{}
}

// Start runs a command in the background until it ends or is stopped.
func (m *Machine) Start(command Command) (*Process, error) {
	process, err := m.prepare(context.Background(), command)
	if err != nil {
		return nil, err
	}
	p := &Process{command: process, output: newBuffer(), done: make(chan struct{})}
	process.Stdin, process.Stdout, process.Stderr = strings.NewReader(command.Input), p.output, p.output
	if err := m.startIn(process); err != nil {
		return nil, fmt.Errorf("cannot start %q: %w", command.Args, err)
	}
	go func() {
		defer close(p.done)
		_ = process.Wait() // the result is in ProcessState
	}()
	return p, nil
}

// Output is what the process has written so far, standard output and error together.
func (p *Process) Output() string { return p.output.String() }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Code is the exit status of a process that has ended, as in Result.
func (p *Process) Code() int { return exitCode(p.command) }

// Signal sends a signal to the process and its group, if they still exist.
func (p *Process) Signal(signal syscall.Signal) error {
	if isClosed(p.done) {
		return nil
	}
	if err := syscall.Kill(-p.command.Process.Pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot signal %q: %w", p.command.Args, err)
	}
	return nil
}

// Stop ends the process and its group: SIGTERM, and two seconds later SIGKILL.
func (p *Process) Stop() error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
			// The group outlives its leader nsenter(1) until the program has ended too.
			if syscall.Kill(-p.command.Process.Pid, signal) == syscall.ESRCH {
				<-p.done
				return nil
			}
			signal = 0 // from now on only check
		}
	}
	return fmt.Errorf("cannot stop %q", p.command.Args)
}
