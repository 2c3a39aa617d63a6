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

// maxLine bounds a line, in bytes.
const maxLine = 4096

// plain is the console of scripts, pipes, pcli -c and dumb terminals. The kernel edits lines where
// there is a terminal at all.
type plain struct {
	ctx      context.Context
	options  Options
	person   bool    // commands are typed
	commands *source // where they come from
	answers  *source // where answers come from, once a question was asked
	terminal *os.File
	opened   *os.File // the terminal, where we opened it
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

// SetIdle bounds waits for a person alone: a script takes the time that it takes.
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

// readLine takes a line without its end, which a line at the end of the input may lack.
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
			return strings.TrimSuffix(line.String(), "\r"), nil
		case err != nil:
			return "", err
		case line.Len() == maxLine:
			long = true
		default:
			line.WriteByte(b)
		}
	}
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
		return readSecret(p.answers, limit)
	}
	// The echo goes before the prompt comes: who sees the one may rely on the other.
	err = withoutEcho(p.terminal, func() error {
		p.prompt(prompt)
		defer p.prompt("\n")
		password, err = readSecret(p.answers, limit)
		return err
	})
	return password, err
}

// findAnswers finds where answers come from: the terminal, even if commands come from elsewhere, so
// that no password is read from a redirected standard input by accident.
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

// prompt shows a question where it is answered; with no terminal there, where it does not
// mix with a command's output.
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

func readSecret(s *source, limit int) ([]byte, error) {
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
