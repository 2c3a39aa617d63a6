package console

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxLine limits a line, in bytes.
const maxLine = 4096

// plain is the console for scripts, pipes, pcli -c and dumb terminals. If there is a terminal, the
// kernel does the line editing.
type plain struct {
	ctx      context.Context
	options  Options
	person   bool    // a person types the commands
	commands *source // commands are read from here
	answers  *source // answers are read from here; set by the first question
	terminal *os.File
	opened   *os.File // the terminal, if this console opened it
	signals  chan os.Signal
	idle     time.Duration
}

func openPlain(ctx context.Context, o Options, person bool) *plain {
	p := &plain{ctx: ctx, options: o, person: person, signals: notify(unix.SIGINT)}
	size := 4096
	if isTerminal(o.In) {
		size = 1
	}
	from := o.Commands
	if from == nil {
		from = o.In
	}
	p.commands = p.listen(from, size)
	return p
}

func (p *plain) listen(from io.Reader, size int) *source {
	s := newSource(p.ctx, from, size)
	s.interrupts, s.idle = p.signals, p.idle
	return s
}

func (p *plain) Interactive() bool { return p.person }

func (p *plain) Width() int {
	if !isTerminal(p.options.Out) {
		return 0
	}
	width, _ := size(p.options.Out)
	return width
}

// SetIdle limits only waits for a person: a script may take as long as it needs.
func (p *plain) SetIdle(d time.Duration) {
	p.idle = idleTime(d)
	if p.person {
		p.commands.idle = p.idle
	}
}

func (p *plain) Write(text []byte) (int, error) { return p.options.Out.Write(text) }
func (p *plain) Page(text string) error {
	_, err := p.options.Out.WriteString(text)
	return err
}

func (p *plain) Busy(f func(context.Context) error) error { return p.commands.busy(f, 0) }

func (p *plain) Close() error {
	if p.opened != nil {
		return p.opened.Close()
	}
	return nil
}

func (p *plain) ReadLine(prompt string) (string, error) {
	if p.person {
		_, _ = p.options.Out.WriteString(prompt)
	}
	line, err := readLine(p.commands)
	if err != nil && p.person {
		_, _ = p.options.Out.WriteString("\n")
	}
	return line, err
}

// byteOrderMark is what some editors write at the start of a file.
const byteOrderMark = "\ufeff"

// readLine returns a line without its line end, which the last line may lack.
func readLine(s *source) (string, error) {
	var line strings.Builder
	long := false
	for {
		b, err := s.next()
		switch {
		case errors.Is(err, io.EOF) && line.Len() > 0, err == nil && b == '\n':
			if long {
				return "", ErrLongLine
			}
			text := strings.TrimSuffix(line.String(), "\r")
			if !s.begun {
				text = strings.TrimPrefix(text, byteOrderMark)
			}
			s.begun = true
			return text, nil
		case err != nil:
			return "", err
		case line.Len() == maxLine:
			long = true
		default:
			line.WriteByte(b)
		}
	}
}

func (p *plain) Explain(text string) error {
	if err := p.findAnswers(); err != nil {
		return err
	}
	p.prompt(text)
	return nil
}

func (p *plain) Ask(prompt string) (string, error) {
	if err := p.findAnswers(); err != nil {
		return "", err
	}
	p.prompt(prompt)
	return readLine(p.answers)
}

func (p *plain) ReadSecret(prompt string, limit int) (password []byte, err error) {
	if err := p.findAnswers(); err != nil {
		return nil, err
	}
	if p.terminal == nil {
		p.prompt(prompt)
		return readSecret(&lineEnds{source: p.answers}, limit)
	}
	// Echo is off before the prompt appears, so that a program that sees the prompt can rely on it.
	err = withoutEcho(p.terminal, func() error {
		p.prompt(prompt)
		defer p.prompt("\n")
		password, err = readSecret(p.answers, limit)
		return err
	})
	return password, err
}

// findAnswers chooses where answers come from: the terminal, even if commands come from elsewhere,
// so that a password is never read from a redirected standard input by accident.
func (p *plain) findAnswers() error {
	if p.answers != nil {
		return nil
	}
	if isTerminal(p.options.In) {
		p.terminal, p.answers = p.options.In, p.commands
		if p.options.Commands != nil {
			p.answers = p.listen(p.options.In, 1)
		}
		p.answers.idle = p.idle
		return nil
	}
	if p.options.Answers {
		p.answers = p.commands
		if p.options.Commands != nil {
			p.answers = p.listen(p.options.In, 4096)
		}
		return nil
	}
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return ErrNoTerminal
	}
	p.terminal, p.opened = f, f
	p.answers = p.listen(f, 1)
	return nil
}

// prompt shows a question on the terminal where it is answered, or else on standard error, where it
// does not mix with a command's output.
func (p *plain) prompt(text string) {
	switch {
	case p.opened != nil:
		_, _ = p.opened.WriteString(text)
	case p.terminal != nil && isTerminal(p.options.Out):
		_, _ = p.options.Out.WriteString(text)
	default:
		_, _ = p.options.Err.WriteString(text)
	}
}

// bytesOf is the source of a secret, byte by byte.
type bytesOf interface{ next() (byte, error) }

// lineEnds reads lines of a file or pipe without one CR at the end, and without a byte order mark
// at the start of the input: neither is meant as part of a password.
type lineEnds struct {
	*source
	held []byte // already read, but perhaps not part of the line
}

func (l *lineEnds) next() (byte, error) {
	if !l.begun {
		l.begun = true
		for i := range len(byteOrderMark) {
			b, err := l.source.next()
			if err != nil {
				return 0, err
			}
			if l.held = append(l.held, b); b != byteOrderMark[i] {
				break
			}
		}
		if string(l.held) == byteOrderMark {
			l.held = nil
		}
	}
	return l.take()
}

// take returns the next byte, but holds back a CR until it knows the byte after it.
func (l *lineEnds) take() (byte, error) {
	b, err := l.ahead()
	if err != nil || b != '\r' || len(l.held) > 0 {
		return b, err
	}
	after, err := l.source.next()
	if err != nil || after == '\n' {
		return after, err
	}
	l.held = append(l.held, after)
	return b, nil
}

// ahead returns a held byte if there is one, otherwise the source's next byte.
func (l *lineEnds) ahead() (byte, error) {
	if len(l.held) == 0 {
		return l.source.next()
	}
	b := l.held[0]
	l.held = l.held[1:]
	return b, nil
}

func readSecret(s bytesOf, limit int) ([]byte, error) {
	secret := newSecret(limit)
	for {
		b, err := s.next()
		switch {
		case errors.Is(err, io.EOF) && len(secret.bytes) > 0, err == nil && b == '\n':
			return secret.result(nil)
		case errors.Is(err, io.EOF):
			return secret.result(ErrInterrupted)
		case err != nil:
			return secret.result(err)
		case b == 0:
		default:
			secret.add(b)
		}
	}
}
