package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// screen is the console on a terminal. The terminal is raw from Open to Close.
type screen struct {
	in      *os.File
	out     io.Writer
	size    func() (width, height int) // of the terminal, now
	before  *term.State
	source  *source
	keys    *keys
	special Keys
	line    *term.Terminal // the one being edited, or nil
	tabs    int            // how often Tab came in a row
}

func openScreen(ctx context.Context, o Options) (*screen, error) {
	before, err := term.MakeRaw(int(o.In.Fd()))
	if err != nil {
		return nil, fmt.Errorf("cannot set up the terminal: %w", err)
	}
	s := newScreen(newSource(ctx, o.In, 1), o.Out, o.Keys)
	s.in, s.before = o.In, before
	s.size = func() (int, int) { return size(o.Out) }
	s.source.resizes = notify(unix.SIGWINCH)
	s.source.interrupts = notify(unix.SIGINT) // not from a key: the terminal makes none
	return s, nil
}

// newScreen edits on anything that behaves as a terminal of 80 columns.
func newScreen(from *source, out io.Writer, special Keys) *screen {
	s := &screen{source: from, out: out, special: special}
	s.size = func() (int, int) { return 80, 24 }
	s.source.resized = s.resize
	s.keys = &keys{source: from, shown: s.raw}
	return s
}

// raw writes what no line end is in.
func (s *screen) raw(text string) { _, _ = io.WriteString(s.out, text) }

func (s *screen) Interactive() bool       { return true }
func (s *screen) SetIdle(d time.Duration) { s.source.idle = idleTime(d) }

func (s *screen) Close() error {
	signal.Reset(unix.SIGWINCH, unix.SIGINT)
	return term.Restore(int(s.in.Fd()), s.before)
}

// discard throws away what was typed and not read yet: who reads the terminal after us would
// take, and show, the rest of a password.
func (s *screen) discard() {
	if s.in != nil {
		_ = unix.IoctlSetInt(int(s.in.Fd()), unix.TCFLSH, unix.TCIFLUSH)
	}
}

// Write ends lines as a raw terminal wants it.
func (s *screen) Write(text []byte) (int, error) {
	if _, err := s.out.Write(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// both is what golang.org/x/term reads from and writes to.
type both struct {
	io.Reader
	io.Writer
}

func (s *screen) ReadLine(prompt string) (string, error) {
	return s.edit(prompt, s.special)
}

func (s *screen) Ask(prompt string) (string, error) {
	return s.edit(prompt, Keys{})
}

// edit reads one line. Each has a terminal of its own, so that one that was given up leaves
// nothing behind.
func (s *screen) edit(prompt string, special Keys) (string, error) {
	s.keys.begin()
	s.tabs = 0
	s.line = term.NewTerminal(both{s.keys, s.out}, prompt)
	defer func() { s.line = nil }()
	s.line.History = called{special.History}
	s.resize()
	s.line.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		return s.press(prompt, special, line, pos, key)
	}
	line, err := s.line.ReadLine()
	if err != nil {
		_, _ = s.Write([]byte("\n")) // the prompt is still on that line
		return "", err
	}
	switch {
	case s.keys.interrupted:
		return "", ErrInterrupted
	case s.keys.full:
		return "", ErrLongLine
	case s.keys.top:
		return line, ErrTop
	}
	return line, nil
}

// press is called for each key that does not edit.
func (s *screen) press(prompt string, special Keys, line string, pos int, key rune) (string, int, bool) {
	if key != keyTab {
		s.tabs = 0
	}
	switch {
	case key == keyTab && special.Complete != nil:
		return s.complete(prompt, special, line, pos)
	case key == '?' && special.Help != nil:
		text, ok := special.Help(line[:pos])
		if ok {
			s.interject(prompt + line + "?\n" + text)
		}
		return line, pos, ok
	case key < ' ':
		return line, pos, true
	case key >= utf8.RuneSelf && key < utf8.MaxRune && !utf8.ValidRune(key): // an unknown function key
		return line, pos, true
	case len(line)+utf8.RuneLen(key) > maxLine:
		s.keys.full = true
		return line, pos, true
	}
	return line, pos, false
}

// complete shows the candidates at the second Tab in a row, as shells do.
func (s *screen) complete(prompt string, special Keys, line string, pos int) (string, int, bool) {
	newLine, newPos, list := special.Complete(line, pos)
	if newLine != line && len(newLine) <= maxLine {
		s.tabs = 0
		return newLine, newPos, true
	}
	s.tabs++
	if len(list) > 0 && s.tabs > 1 {
		width, height := s.size()
		s.interject(prompt + line + "\n" + gather(list, width, height-3))
	}
	if len(list) == 0 || s.tabs == 1 {
		s.raw("\a")
	}
	return line, pos, true
}

// interject shows text above the line that is being edited.
func (s *screen) interject(text string) { _, _ = s.line.Write([]byte(text)) }

func (s *screen) resize() {
	if s.line != nil {
		width, height := s.size()
		_ = s.line.SetSize(width, height)
	}
}

func (s *screen) Busy(f func(context.Context) error) error {
	return s.source.busy(f, keyInterrupt)
}

// called is a history for golang.org/x/term. Lines are added by who reads them: not every line
// belongs there.
type called struct{ History }

func (called) Add(string) {}

func (c called) Len() int {
	if c.History == nil {
		return 0
	}
	return c.History.Len()
}

// gather lays words out in columns, down and then across, at most height lines of them.
func gather(words []string, width, height int) string {
	longest := 0
	for _, w := range words {
		longest = max(longest, utf8.RuneCountInString(w))
	}
	across := max(1, width/(longest+2))
	rows := (len(words) + across - 1) / across
	height = max(height, 1)
	more := ""
	if rows > height {
		more = fmt.Sprintf("(%d more; type some letters)\n", len(words)-height*across)
		words, rows = words[:height*across], height
	}
	var b strings.Builder
	for row := range rows {
		line := ""
		for i := row; i < len(words); i += rows {
			line += words[i] + strings.Repeat(" ", longest+2-utf8.RuneCountInString(words[i]))
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String() + more
}
