package console

import (
	"context"
	"errors"
	"io"
	"time"
)

// These errors end a read without a line. The end of the input, or Ctrl-D, is io.EOF.
var (
	// ErrInterrupted means Ctrl-C.
	ErrInterrupted = errors.New("interrupted")
	// ErrTop means Ctrl-Z. The read also returns the current line.
	ErrTop = errors.New("back to the top")
	// ErrIdle means that no key was pressed for the idle time.
	ErrIdle = errors.New("idle for too long")
	// ErrLongLine means that a line was dropped because it is too long.
	ErrLongLine = errors.New("the line is too long")
	// ErrNoTerminal means that a question needs a person and there is no terminal to ask on.
	ErrNoTerminal = errors.New("there is no terminal to ask on")
	// ErrLongSecret means that a password is longer than the limit.
	ErrLongSecret = errors.New("the password is too long")
)

// Console is a terminal or a script. When the terminal is lost, or the context given to Open ends,
// every wait ends with the cause of that context.
type Console interface {
	// Write writes text with \n line ends.
	io.Writer
	// ReadLine reads a command. If the last line has no line end, ReadLine first returns the line,
	// and the end of the input on the next call.
	ReadLine(prompt string) (string, error)
	// Ask reads the answer to a question, without history and completion.
	Ask(prompt string) (string, error)
	// Explain writes lines before a question, where Ask shows it.
	Explain(text string) error
	// ReadSecret reads a password of at most limit bytes without echo. The caller wipes it.
	ReadSecret(prompt string, limit int) ([]byte, error)
	// Page writes text, and pauses after each screenful if a person reads it.
	Page(text string) error
	// Width is the number of columns of the terminal; 0 if there is none.
	Width() int
	// Busy runs f; Ctrl-C ends f's context.
	Busy(f func(context.Context) error) error
	// Interactive reports whether commands come from a person.
	Interactive() bool
	// SetIdle sets the idle time; 0 means none.
	SetIdle(time.Duration)
	// Close restores the terminal.
	Close() error
}

// Keys tells the console what to do on keys other than editing keys.
type Keys struct {
	// Complete handles Tab. It returns the new line and position, and the candidates if it could
	// not complete any further.
	Complete func(line string, pos int) (newLine string, newPos int, list []string)
	// Help handles "?". It returns the text to show, or false if "?" is an ordinary character here.
	Help func(line string) (string, bool)
	// History is what the arrow keys step through, the newest line at 0.
	History History
}

// History is a list of lines that can be recalled.
type History interface {
	Len() int
	At(i int) string
}
