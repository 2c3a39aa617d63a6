package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// stepLimit limits a step. A step takes a second or two, because a refused login waits for PAM's
// delay.
const stepLimit = time.Minute

// question is part of every password prompt: "New password: ", "admin@localhost's password: ".
const question = "assword: "

// play runs the script.
type play struct {
	out     io.Writer
	colour  bool
	machine *machine.Machine
}

// The colours, as in ECMA-48.
const (
	bold  = "\x1b[1m"
	green = "\x1b[32m"
	plain = "\x1b[0m"
)

func (p *play) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

func (p *play) in(colour, text string) string {
	if !p.colour {
		return text
	}
	return colour + text + plain
}

func (p *play) act(ctx context.Context, a act) error {
	p.say("\n%s\n", p.in(bold, "== "+a.title+" =="))
	if a.setup != nil {
		ctx, cancel := context.WithTimeout(ctx, bootLimit)
		defer cancel()
		if err := a.setup(ctx, p.machine); err != nil {
			return err
		}
	}
	p.say("%s", a.intro)
	for _, s := range a.steps {
		if err := p.step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// step runs a command and checks its result.
func (p *play) step(ctx context.Context, s step) error {
	p.say("")
	if s.says != "" {
		p.say("%s", s.says)
	}
	p.say("  %s", p.in(bold, "# "+s.command))
	output, code, err := p.typeIn(ctx, s)
	for line := range strings.Lines(output) {
		p.say("  %s", strings.TrimRight(line, "\n"))
	}
	if err != nil {
		return err
	}
	if err := s.check(output, code); err != nil {
		return err
	}
	if s.proves != "" {
		p.say("%s", p.in(green, "✔ "+s.proves))
	}
	return nil
}

// typeIn runs a step's command on a terminal of the machine, as a person would.
func (p *play) typeIn(ctx context.Context, s step) (output string, code int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepLimit, fmt.Errorf("it took longer than %v", stepLimit))
	defer cancel()
	terminal, err := p.machine.Terminal(machine.Command{Args: []string{"/bin/bash", "-c", s.command}})
	if err != nil {
		return "", 0, err
	}
	defer terminal.Close()
	for _, secret := range s.types {
		if err = terminal.Await(ctx, question); err == nil {
			err = terminal.Send(secret + "\n")
		}
		if err != nil {
			return "", 0, err // the error contains the transcript
		}
	}
	code, err = terminal.Wait(ctx)
	return onScreen(terminal.Transcript()), code, err
}

// onScreen is what remains visible of a text: programs erase their progress with a carriage return
// and ECMA-48's EL.
func onScreen(text string) string {
	const erase = "\x1b[K"
	var shown strings.Builder
	for line := range strings.Lines(text) {
		if at := strings.LastIndex(line, erase); at >= 0 {
			line = line[at+len(erase):]
		}
		shown.WriteString(strings.ReplaceAll(line, "\r", ""))
	}
	return shown.String()
}

// check compares the result with the script's claims.
func (s step) check(output string, code int) error {
	if failed := code != 0; failed != s.fails {
		return fmt.Errorf("%q ended with exit status %d, which is not what the demo claims", s.command, code)
	}
	for _, text := range s.shows {
		if !strings.Contains(output, text) {
			return fmt.Errorf("%q did not print %q, as the demo claims", s.command, text)
		}
	}
	return nil
}
