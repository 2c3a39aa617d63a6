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

// Options describe the environment of a console.
type Options struct {
	In, Out, Err *os.File
	Commands     io.Reader // read instead of In, for pcli -c; then there is no prompt
	Answers      bool      // answers come from In even if it is not a terminal
	Terminal     string    // the value of TERM
	Keys         Keys
}

// Open returns a suitable console: line editing on a terminal, otherwise plain.
func Open(ctx context.Context, o Options) (Console, error) {
	person := o.Commands == nil && isTerminal(o.In) && isTerminal(o.Out)
	if person && o.Terminal != "" && o.Terminal != "dumb" {
		return openScreen(ctx, o)
	}
	return openPlain(ctx, o, person), nil
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// size returns the terminal's size, or 80 by 24 if it does not report one, as a serial line.
func size(f *os.File) (width, height int) {
	width, height, _ = term.GetSize(int(f.Fd()))
	if width < 1 {
		width = 80
	}
	if height < 1 {
		height = 24
	}
	return width, height
}

// withoutEcho runs f while the terminal does not echo input; line editing and signals stay on. If f
// fails, unread input is discarded.
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

// notify calls signal.Notify with a new channel.
func notify(signals ...os.Signal) chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, signals...)
	return c
}

// idleTime turns a negative duration into 0, no limit.
func idleTime(d time.Duration) time.Duration { return max(d, 0) }
