package machine

import (
	"context"
	"time"
)

// A Call is a command that a test is about to run. Its methods set options; the last one runs it:
//
//	m.As("user222").Input("old\nnew\nnew\n").Within(5 * time.Second).Run("passwd")
type Call struct {
	m        *T
	command  Command
	patience time.Duration
}

func (m *T) call() Call { return Call{m: m, patience: Patience} }

// As runs the command as a user.
func (m *T) As(user string) Call { return m.call().As(user) }

// Input sets the command's standard input.
func (m *T) Input(text string) Call { return m.call().Input(text) }

// Env adds NAME=value to the command's environment.
func (m *T) Env(setting string) Call { return m.call().Env(setting) }

// Within limits the command's time; a longer run ends the test.
func (m *T) Within(patience time.Duration) Call { return m.call().Within(patience) }

// Run runs a program as root.
func (m *T) Run(args ...string) Result { m.tb.Helper(); return m.call().Run(args...) }

// Must is Run that ends the test unless the status is 0, and returns standard output.
func (m *T) Must(args ...string) string { m.tb.Helper(); return m.call().Must(args...) }

// Shell runs a script with sh -c as root.
func (m *T) Shell(script string) Result { m.tb.Helper(); return m.call().Shell(script) }

// MustShell is Shell that ends the test unless the status is 0, and returns standard output.
func (m *T) MustShell(script string) string { m.tb.Helper(); return m.call().MustShell(script) }

// Start runs a program in the background, as root, until Stop or the test's end.
func (m *T) Start(args ...string) *Process { m.tb.Helper(); return m.call().Start(args...) }

// Terminal runs a program on a terminal, as root.
func (m *T) Terminal(args ...string) *Dialogue { m.tb.Helper(); return m.call().Terminal(args...) }

// As runs the command as a user.
func (c Call) As(user string) Call { c.command.User = user; return c }

// Input sets the command's standard input.
func (c Call) Input(text string) Call { c.command.Input = text; return c }

// Within limits the command's time.
func (c Call) Within(patience time.Duration) Call { c.patience = patience; return c }

// Env adds NAME=value to the command's environment.
func (c Call) Env(setting string) Call {
	c.command.Env = append(c.command.Env[:len(c.command.Env):len(c.command.Env)], setting)
	return c
}

// Run runs a program.
func (c Call) Run(args ...string) Result {
	c.m.tb.Helper()
	c.command.Args = args
	ctx, cancel := c.m.context(c.patience)
	defer cancel()
	result, err := c.m.Exec(ctx, c.command)
	if err != nil {
		c.m.tb.Fatalf("%v", err)
	}
	return result
}

// Must is Run that ends the test unless the status is 0, and returns standard output.
func (c Call) Must(args ...string) string {
	c.m.tb.Helper()
	result := c.Run(args...)
	if result.Code != 0 {
		c.m.tb.Fatalf("%q: %s", args, result)
	}
	return result.Stdout
}

// Shell runs a script with sh -c.
func (c Call) Shell(script string) Result { c.m.tb.Helper(); return c.Run(Shell(script).Args...) }

// MustShell is Shell that ends the test unless the status is 0, and returns standard output.
func (c Call) MustShell(script string) string {
	c.m.tb.Helper()
	return c.Must(Shell(script).Args...)
}

// Start runs a program in the background until Stop or the test's end.
func (c Call) Start(args ...string) *Process {
	c.m.tb.Helper()
	c.command.Args = args
	process, err := c.m.Machine.Start(c.command)
	if err != nil {
		c.m.tb.Fatalf("%v", err)
	}
	c.m.tb.Cleanup(func() { _ = process.Stop() })
	return process
}

// Terminal runs a program on a terminal until Close or the test's end.
func (c Call) Terminal(args ...string) *Dialogue {
	c.m.tb.Helper()
	c.command.Args = args
	terminal, err := c.m.Machine.Terminal(c.command)
	if err != nil {
		c.m.tb.Fatalf("%v", err)
	}
	return c.m.dialogue(terminal)
}

// SSH opens an interactive login on a terminal and types the password.
func (m *T) SSH(user, password string, args ...string) *Dialogue {
	m.tb.Helper()
	var terminal *Terminal
	m.step(func(ctx context.Context) (err error) {
		terminal, err = m.Machine.SSH(ctx, user, password, args...)
		return err
	})
	return m.dialogue(terminal)
}
