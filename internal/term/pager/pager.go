// Package pager shows output that is longer than the terminal's screen in a pager, as git and
// systemctl do. Shorter output goes straight to the terminal, and nothing is paged without one.
//
// The program runs as root, so the pager does too: it must not become a root shell for somebody who
// may run nothing but this program. See choose.go.
//
//	pager.go   Pager: holds output back until it is longer than the screen
//	choose.go  which pager runs, and with which environment
package pager

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// ErrQuit is the error of writes after the person has left the pager.
var ErrQuit = errors.New("the pager has ended")

// endsWithin is how long a pager may take to end after it was told to.
const endsWithin = 2 * time.Second

// Pager is an io.Writer for output to a terminal.
type Pager struct {
	terminal *os.File
	command  *exec.Cmd
	quit     func()   // called once when the person leaves the pager
	held     []byte   // not printed yet: at most a screen and one write
	to       *os.File // the pager's input, or the terminal; nil: output is held back
	left     bool
}

// On returns a pager for the output to a terminal. The context of the work that writes must end by
// quit: after the person has left the pager, the rest need not be produced. It returns nil without a
// usable program, without a terminal, and for one that does not report its size, as a serial line:
// there, nobody knows what is longer than the screen.
func On(ctx context.Context, out *os.File, from Environment, quit func()) *Pager {
	if columns, rows, err := term.GetSize(int(out.Fd())); err != nil || columns < 1 || rows < 1 {
		return nil
	}
	command := from.choose(ctx)
	if command == nil {
		return nil
	}
	command.Stdout, command.Stderr = out, out
	command.Cancel = func() error { return command.Process.Signal(unix.SIGTERM) } // it restores the terminal
	command.WaitDelay = endsWithin
	return &Pager{terminal: out, command: command, quit: quit}
}

// Terminal is the terminal that the output is for.
func (p *Pager) Terminal() *os.File { return p.terminal }

// Write implements io.Writer.
func (p *Pager) Write(text []byte) (int, error) {
	if p.left {
		return 0, ErrQuit
	}
	if p.to != nil {
		return p.pass(text)
	}
	p.held = append(p.held, text...)
	columns, rows, err := term.GetSize(int(p.terminal.Fd()))
	if err == nil && rowsOf(string(p.held), max(1, columns), rows) < rows {
		return len(text), nil
	}
	p.to = p.start()
	if _, err := p.pass(p.held); err != nil {
		return 0, err
	}
	p.held = nil
	return len(text), nil
}

// start runs the pager and returns its input; the terminal if it does not start.
func (p *Pager) start() *os.File {
	from, to, err := os.Pipe()
	if err != nil {
		return p.terminal
	}
	defer from.Close()
	p.command.Stdin = from
	if err := p.command.Start(); err != nil {
		_ = to.Close()
		return p.terminal
	}
	return to
}

func (p *Pager) pass(text []byte) (int, error) {
	n, err := p.to.Write(text)
	if errors.Is(err, unix.EPIPE) {
		p.left, err = true, ErrQuit
		p.quit()
	}
	return n, err
}

// Close prints what was held back, or waits until the person leaves the pager.
func (p *Pager) Close() error {
	switch p.to {
	case nil:
		_, err := p.terminal.Write(p.held)
		return err
	case p.terminal:
		return nil
	}
	_ = p.to.Close()
	_ = p.command.Wait() // how a pager ends says nothing about the output
	return nil
}

// rowsOf counts the rows that a text fills on a terminal, up to most.
func rowsOf(text string, columns, most int) int {
	rows := 0
	for line := range strings.Lines(text) {
		width := displaywidth.String(strings.TrimSuffix(line, "\n"))
		if rows += max(1, (width+columns-1)/columns); rows >= most {
			break
		}
	}
	return rows
}
