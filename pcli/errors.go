package pcli

import (
	"context"
	"errors"
	"io"

	"github.com/shadowsync/shadowsync/internal/term/exit"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/pcli/console"
	"github.com/shadowsync/shadowsync/pcli/grammar"
)

// These errors end a command without the broker.
var (
	errLeave    = errors.New("the operator leaves") // keeps the status of the previous command
	errDeclined = errors.New("the operator said no")
	errMismatch = errors.New("the passwords do not match")
	errForce    = errors.New("there is no terminal to ask on; 'force' does it without a question")
)

// fail prints the error in the appliance's words and sets the exit status.
func (s *Shell) fail(err error) {
	var text string
	text, s.status = words(err)
	to := s.err
	if s.console != nil && s.console.Interactive() {
		to = s.console
	}
	_, _ = io.WriteString(to, printable.Quote(text)+"\n")
}

// fatal is fail before a console is open.
func (s *Shell) fatal(err error) int {
	if s.ctx.Err() != nil {
		return s.ended(context.Cause(s.ctx))
	}
	s.fail(err)
	return s.status
}

// words is the one table from error to the operator's text and the exit status.
func words(err error) (string, int) {
	var notFound *grammar.NotFoundError
	var incomplete *grammar.IncompleteError
	var usage *grammar.UsageError
	var refusal *operator.Error
	switch {
	case errors.As(err, &notFound), errors.As(err, &incomplete):
		return err.Error(), exit.Usage
	case errors.As(err, &usage), errors.Is(err, grammar.ErrTooLong),
		errors.Is(err, grammar.ErrNotText), errors.Is(err, grammar.ErrOpenQuote), errors.Is(err, errNoEvent):
		return "% Error: " + err.Error(), exit.Usage
	case errors.Is(err, console.ErrInterrupted), errors.Is(err, console.ErrTop), errors.Is(err, io.EOF), errors.Is(err, context.Canceled):
		return "Operation canceled", exit.Interrupted
	case errors.Is(err, errDeclined):
		return "Operation canceled", exit.Failed
	case errors.Is(err, errMismatch), errors.Is(err, console.ErrLongSecret):
		return "% Error: " + err.Error(), exit.Policy
	case errors.Is(err, console.ErrNoTerminal):
		return "% Error: there is no terminal to ask on; pcli --stdin takes answers from standard input", exit.Usage
	case errors.Is(err, errForce), errors.Is(err, errTime), errors.Is(err, console.ErrLongLine):
		return "% Error: " + err.Error(), exit.Usage
	case errors.Is(err, operator.ErrUnknownOutcome):
		return "% Error: shadowsync did not say whether the password was changed: at the next login try the new one, then the old one",
			exit.Unavailable
	case errors.As(err, &refusal):
		return "% Error: " + refusal.Text, refusal.Kind.Exit()
	}
	return "% Error: " + err.Error(), exit.Failed
}
