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

// screen is the console on a terminal, which is in raw mode from Open to Close.
type screen struct {
	in      *os.File
	out     io.Writer
	size    func() (width, height int) // current size of the terminal
	before  *term.State
	source  *source
	keys    *keys
	special Keys
	line    *term.Terminal // the line editor in use, or nil
	tabs    int            // consecutive presses of Tab
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
	s.source.interrupts = notify(unix.SIGINT) // sent by another process: in raw mode Ctrl-C makes no signal
	return s, nil
}

// newScreen edits on anything that behaves like a terminal of 80 columns.
func newScreen(from *source, out io.Writer, special Keys) *screen {
	s := &screen{source: from, out: out, special: special}
	s.size = func() (int, int) { return 80, 24 }
	s.source.resized = s.resize
	s.keys = &keys{source: from, shown: s.raw}
	return s
}

// raw writes text that contains no line ends.
func (s *screen) raw(text string) { _, _ = io.WriteString(s.out, text) }

func (s *screen) Interactive() bool       { return true }
func (s *screen) Width() int              { width, _ := s.size(); return width }
func (s *screen) SetIdle(d time.Duration) { s.source.idle = idleTime(d) }

func (s *screen) Close() error {
	signal.Reset(unix.SIGWINCH, unix.SIGINT)
	return term.Restore(int(s.in.Fd()), s.before)
}

// discard drops input that was typed but not read yet. Otherwise the next program on the terminal
// would read, and show, the rest of a password.
func (s *screen) discard() {
	if s.in != nil {
		_ = unix.IoctlSetInt(int(s.in.Fd()), unix.TCFLSH, unix.TCIFLUSH)
	}
}

// Write uses the line ends that a raw terminal needs.
func (s *screen) Write(text []byte) (int, error) {
	if _, err := s.out.Write(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// both is the input and output of golang.org/x/term.
type both struct {
	io.Reader
	io.Writer
}

func (s *screen) ReadLine(prompt string) (string, error) {
	return s.edit(prompt, s.special)
}

func (s *screen) Explain(text string) error {
	_, err := s.Write([]byte(text))
	return err
}

func (s *screen) Ask(prompt string) (string, error) {
	return s.edit(prompt, Keys{})
}

// edit reads one line. Each line gets a new term.Terminal, so that an abandoned line leaves nothing
// behind.
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
		_, _ = s.Write([]byte("\n")) // the cursor is still on the prompt's line
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

// press is called for each key that is not an editing key.
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

// complete shows the candidates at the second consecutive Tab, as shells do.
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

// interject shows text above the line in the editor.
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

// called is the history for golang.org/x/term. Its Add does nothing: the caller decides which lines
// to add.
type called struct{ History }

func (called) Add(string) {}

func (c called) Len() int {
	if c.History == nil {
		return 0
	}
	return c.History.Len()
}

// gather lays out words in columns, down and then across, in at most height lines.
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
