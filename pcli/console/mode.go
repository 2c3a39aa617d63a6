package console

import (
	"context"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Options say where a console is.
type Options struct {
	In, Out, Err *os.File
	Commands     io.Reader // in the place of In, as of pcli -c; then there is no prompt
	Answers      bool      // questions are answered from In even where that is no terminal
	Terminal     string    // the value of TERM
	Keys         Keys
}

// Open gives the console that fits: line editing on a terminal, else plain.
func Open(ctx context.Context, o Options) (Console, error) {
	person := o.Commands == nil && isTerminal(o.In) && isTerminal(o.Out)
	if person && o.Terminal != "" && o.Terminal != "dumb" {
		return openScreen(ctx, o)
	}
	return openPlain(ctx, o, person), nil
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// size is that of a terminal that does not tell, as over a serial line, otherwise.
func size(f *os.File) (width, height int) {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 || height < 1 {
		return 80, 24
	}
	return width, height
}

// withoutEcho runs f while the terminal shows nothing of what is typed, lines and
// signals as before. If it fails, what was typed and not read yet is thrown away.
func withoutEcho(tty *os.File, f func() error) (err error) {
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return ErrNoTerminal
	}
	silent := *before
	silent.Lflag = silent.Lflag&^(unix.ECHO|unix.ECHONL) | unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return ErrNoTerminal
	}
	defer func() {
		how := uint(unix.TCSETS)
		if err != nil {
			how = unix.TCSETSF
		}
		_ = unix.IoctlSetTermios(fd, how, before)
	}()
	return f()
}

// notify is signal.Notify with a channel of its own.
func notify(signals ...os.Signal) chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, signals...)
	return c
}

// idleTime makes a duration one to wait for.
func idleTime(d time.Duration) time.Duration { return max(d, 0) }
