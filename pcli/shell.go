package pcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/pcli/console"
	"github.com/shadowsync/shadowsync/pcli/grammar"
)

// Shell is one operator's session at the prompt.
type Shell struct {
	ctx      context.Context
	client   operator.Client
	console  console.Console
	err      io.Writer
	hello    operator.Hello
	history  history
	top      *grammar.Set // the commands of this role
	menu     *menu        // the menu of edit user, or nil
	status   int          // of the last command
	over     bool         // the operator has asked to leave, or may not go on
	single   bool         // a single command was given
	terminal string       // the value of TERM
}

// know stores who the operator is and which commands they may run.
func (s *Shell) know(hello operator.Hello) {
	s.hello = hello
	s.top = commandSet.For(func(need string) bool { return slices.Contains(hello.Ops, operator.Op(need)) })
}

// prompt is the appliance's prompt.
func (s *Shell) prompt() string {
	mark := "> "
	if s.hello.Role == operator.RoleAdmin {
		mark = "# "
	}
	place := ""
	if s.hello.Asset != "" {
		place = "." + s.hello.Asset
	}
	if s.menu != nil {
		place += " (user[name=" + s.menu.name + "])"
	}
	return printable.Quote(s.hello.User+"@"+s.hello.Node+place) + mark
}

// set returns the commands that are available now.
func (s *Shell) set() *grammar.Set {
	if s.menu != nil {
		return s.menu.set
	}
	return s.top
}

// loop reads and runs lines. It returns why the shell must end if the operator did not ask for
// that.
func (s *Shell) loop() error {
	for !s.over {
		line, err := s.console.ReadLine(s.prompt())
		switch {
		case errors.Is(err, console.ErrTop):
			if s.menu == nil && strings.TrimSpace(line) == "" {
				return nil
			}
			err = s.run(line)
			s.menu = nil
		case errors.Is(err, console.ErrLongLine):
			s.fail(grammar.ErrTooLong)
			err = nil
		case errors.Is(err, console.ErrInterrupted) && s.console.Interactive():
			err = nil
		case errors.Is(err, io.EOF) && s.menu != nil:
			s.menu, err = nil, nil
		case err == nil:
			err = s.run(line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run runs a line. It returns an error only if the shell must end.
func (s *Shell) run(line string) error {
	if s.console.Interactive() {
		again, err := s.history.recall(line)
		if err != nil {
			s.fail(err)
			return nil
		}
		if again != line {
			s.say("%s", again)
		}
		line = again
		s.history.add(line)
	} else if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return nil
	}
	if s.asksForHelp(line) {
		return nil
	}
	call, ok, err := s.set().Parse(line)
	if err != nil {
		s.fail(err)
		return nil
	}
	if !ok {
		return nil
	}
	if s.menu != nil {
		return s.finish(menuCommands[call.Command].run(s, call))
	}
	return s.finish(commands[call.Command].run(s, call))
}

// asksForHelp handles ? at the end of a line from a dumb terminal or a script, where ? is not a key
// of its own.
func (s *Shell) asksForHelp(line string) bool {
	before, found := strings.CutSuffix(strings.TrimSpace(line), "?")
	if !found {
		return false
	}
	text, ok := s.help(before)
	if ok {
		s.status = 0
		_, _ = io.WriteString(s.console, text)
	}
	return ok
}

// finish sets the status of a finished command. It returns an error only if the shell must end.
func (s *Shell) finish(err error) error {
	switch {
	case err == nil:
		s.status = 0
	case s.ctx.Err() != nil: // whatever error the command returned
		return context.Cause(s.ctx)
	case errors.Is(err, console.ErrIdle):
		return err
	case errors.Is(err, errLeave):
		s.over = true
	default:
		s.fail(err)
	}
	return nil
}

// help handles the ? key.
func (s *Shell) help(line string) (string, bool) { return s.set().Help(line, s.names) }

// complete handles the Tab key.
func (s *Shell) complete(line string, pos int) (string, int, []string) {
	return s.set().Complete(line, pos, s.names)
}

// names returns the accounts for completion, or none without an answer.
func (s *Shell) names() []string {
	ctx, cancel := context.WithTimeout(s.ctx, completeTime)
	defer cancel()
	names, err := s.client.Names(ctx)
	if err != nil {
		return nil
	}
	return names
}

// say writes a line, which may contain foreign text.
func (s *Shell) say(format string, args ...any) {
	_, _ = io.WriteString(s.console, printable.Quote(fmt.Sprintf(format, args...))+"\n")
}

// ask sends a question to the broker. Ctrl-C cancels it.
func ask[T any](s *Shell, f func(context.Context) (T, error)) (answer T, err error) {
	err = s.coded(func() error {
		return s.console.Busy(func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			got, err := f(ctx)
			if err == nil {
				answer = got
			}
			return err
		})
	})
	return answer, err
}

// change runs a change to its end. Ctrl-C cannot cancel it, because the result would then be
// unknown.
func change[T any](s *Shell, f func(context.Context) (T, error)) (answer T, err error) {
	err = s.coded(func() (err error) {
		ctx, cancel := context.WithTimeout(s.ctx, changeTime)
		defer cancel()
		answer, err = f(ctx)
		return err
	})
	return answer, err
}
