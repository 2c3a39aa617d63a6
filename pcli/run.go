package pcli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/pcli/console"
)

// askTime limits a question to the broker, and changeTime a change, which may wait for locks, for
// useradd, and for sessions to end.
const (
	askTime    = 15 * time.Second
	changeTime = 60 * time.Second

	// completeTime is how long Tab waits for names.
	completeTime = 2 * time.Second
)

// Options describe how the shell was started.
type Options struct {
	In, Out, Err *os.File
	Terminal     string // the value of TERM
	Socket       string // of the broker; empty: the default
	Command      string // run instead of an interactive shell; several lines are several commands
	OneCommand   bool   // Command was given, even if it is empty
	Answers      bool   // answers, passwords too, are read from In
}

// Run runs a whole shell. It returns the exit status: that of the last command, or 128 plus the
// number of the signal that ended the shell.
func Run(ctx context.Context, o Options) int {
	ctx, stop := ends(ctx)
	defer stop()
	s := newShell(ctx, o)
	if err := s.begin(); err != nil {
		return s.fatal(err)
	}
	c, err := console.Open(ctx, s.consoleOptions(o))
	if err != nil {
		return s.fatal(err)
	}
	s.console = c
	defer c.Close()
	c.SetIdle(time.Duration(s.hello.IdleTimeout) * time.Second)
	return s.live()
}

func (s *Shell) consoleOptions(o Options) console.Options {
	co := console.Options{
		In: o.In, Out: o.Out, Err: o.Err, Answers: o.Answers, Terminal: o.Terminal,
		Keys: console.Keys{Complete: s.complete, Help: s.help, History: &s.history},
	}
	if o.OneCommand {
		co.Commands = strings.NewReader(o.Command)
	}
	return co
}

// begin asks the broker who the operator is.
func (s *Shell) begin() error {
	ctx, cancel := context.WithTimeout(s.ctx, askTime)
	defer cancel()
	hello, err := s.client.Hello(ctx)
	var refusal *operator.Error
	if errors.As(err, &refusal) && refusal.Kind == operator.NotPermitted && refusal.Text == "not permitted" {
		return operator.Errorf(refusal.Kind, "no application manages this account, so there is nothing to do here")
	}
	if err != nil {
		return err
	}
	s.know(hello)
	return nil
}

// live runs commands until the shell ends.
func (s *Shell) live() int {
	end := s.admitted()
	switch {
	case end != nil || s.over:
	case s.hello.Expired:
		end = s.expired()
	default:
		end = s.loop()
	}
	return s.ended(end)
}

// ended explains why the shell ends if the operator did not ask for that.
func (s *Shell) ended(end error) int {
	var signal signalError
	switch {
	case errors.As(end, &signal):
		return 128 + int(signal.Signal) // silently: the terminal may be gone
	case errors.Is(end, console.ErrIdle):
		idle := (time.Duration(s.hello.IdleTimeout) * time.Second).String()
		s.say("No key was pressed for %s: leaving", strings.Replace(idle, "m0s", "m", 1))
	case end != nil && !errors.Is(end, io.EOF):
		s.fail(end)
	}
	return s.status
}

// signalError means that a signal ended the shell.
type signalError struct{ unix.Signal }

func (e signalError) Error() string { return e.Signal.String() }

// ends returns a context that ends with SIGHUP or SIGTERM. It ignores the signals that would leave
// the terminal in the shell's mode.
func ends(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGHUP, unix.SIGTERM)
	signal.Ignore(unix.SIGTSTP, unix.SIGQUIT)
	go func() {
		if s, ok := (<-signals).(unix.Signal); ok {
			cancel(signalError{s})
		}
	}()
	return ctx, func() { signal.Reset(unix.SIGHUP, unix.SIGTERM, unix.SIGTSTP, unix.SIGQUIT); cancel(nil) }
}

func newShell(ctx context.Context, o Options) *Shell {
	s := &Shell{ctx: ctx, client: operator.Client{Path: o.Socket}, err: o.Err, single: o.OneCommand, terminal: o.Terminal}
	return s
}
