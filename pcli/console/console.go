package console

import (
	"context"
	"errors"
	"io"
	"time"
)

// How reading can end without a line. The end of the input, or Ctrl-D, is io.EOF.
var (
	// ErrInterrupted is Ctrl-C.
	ErrInterrupted = errors.New("interrupted")
	// ErrTop is Ctrl-Z. It comes with the line that stood there.
	ErrTop = errors.New("back to the top")
	// ErrIdle means that nobody pressed a key for the idle time.
	ErrIdle = errors.New("idle for too long")
	// ErrLongLine means that a line was dropped for its length.
	ErrLongLine = errors.New("the line is too long")
	// ErrNoTerminal means that a question needs a person and there is none.
	ErrNoTerminal = errors.New("there is no terminal to ask on")
	// ErrLongSecret means that a password was longer than asked for.
	ErrLongSecret = errors.New("the password is too long")
)

// Console is a terminal or a script. A lost terminal and the end of the context that it was made
// with end every wait with the cause of that context.
type Console interface {
	// Write writes text whose lines end in \n.
	io.Writer
	// ReadLine reads a command. A line without end and the end of the input come one after
	// the other.
	ReadLine(prompt string) (string, error)
	// Ask reads the answer to a question: no history, no completion.
	Ask(prompt string) (string, error)
	// ReadSecret reads a password of at most limit bytes without echo. It is the caller's to wipe.
	ReadSecret(prompt string, limit int) ([]byte, error)
	// Page writes text, and stops after each screenful where a person reads it.
	Page(text string) error
	// Busy runs f and lets Ctrl-C end its context meanwhile.
	Busy(f func(context.Context) error) error
	// Interactive reports whether commands come from a person.
	Interactive() bool
	// SetIdle sets the idle time; 0 means none.
	SetIdle(time.Duration)
	// Close gives the terminal back as it was.
	Close() error
}

// Keys is what the shell makes of keys beyond editing.
type Keys struct {
	// Complete is Tab: the line and the position after it, and the candidates where it
	// could not go further.
	Complete func(line string, pos int) (newLine string, newPos int, list []string)
	// Help is ?: what to show, or false where ? is a character like others.
	Help func(line string) (string, bool)
	// History is what the arrow keys go through, the newest at 0.
	History History
}

// History is what can be called back.
type History interface {
	Len() int
	At(i int) string
}
