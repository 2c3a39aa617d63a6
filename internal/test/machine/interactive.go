package machine

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// Interactive connects the caller's terminal to a program on the machine, such as a root shell,
// until the program ends, and returns its exit status. If the caller's terminal hangs up, the
// program's terminal hangs up too.
func (m *Machine) Interactive(ctx context.Context, command Command) (int, error) {
	here := int(os.Stdin.Fd())
	before, err := term.MakeRaw(here)
	if err != nil {
		return 0, fmt.Errorf("cannot hand over the terminal: %w", err)
	}
	defer func() { _ = term.Restore(here, before) }()
	if name := os.Getenv("TERM"); name != "" {
		command.Env = append(command.Env, "TERM="+name)
	}
	terminal, err := m.Terminal(command)
	if err != nil {
		return 0, err
	}
	defer terminal.Close()
	stop := follow(terminal, here)
	defer stop()
	keys, err := terminal.keyboard(os.Stdin)
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = terminal.Close() // closed first, because typing to a program that does not read may block
		_ = keys.close()
	}()
	return terminal.show(ctx, os.Stdout)
}

// follow copies the size of the caller's terminal now, before any input, and at each change.
func follow(terminal *Terminal, here int) (stop func()) {
	fit := func() {
		if columns, rows, err := term.GetSize(here); err == nil {
			_ = terminal.Resize(uint16(rows), uint16(columns))
		}
	}
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	fit()
	go func() {
		for range changes {
			fit()
		}
	}()
	return func() {
		signal.Stop(changes)
		close(changes)
	}
}

// show copies the output as it arrives, until the program ends.
func (t *Terminal) show(ctx context.Context, to io.Writer) (int, error) {
	for shown := 0; ; {
		ended := isClosed(t.done)
		rest, more := t.output.after(shown)
		if _, err := io.WriteString(to, rest); err != nil {
			return 0, fmt.Errorf("cannot show a terminal: %w", err)
		}
		shown += len(rest)
		if ended {
			return exitCode(t.process), nil
		}
		select {
		case <-more:
		case <-t.done:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
