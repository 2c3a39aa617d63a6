package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
)

func TestScanLine(t *testing.T) {
	for name, tc := range map[string]struct{ in, want, rest string }{
		"line":       {"secret\nnext", "secret", "next"},
		"no newline": {"secret", "secret", ""},
		"empty":      {"\nx", "", "x"},
		"nothing":    {"", "", ""},
		"too long":   {strings.Repeat("x", 600), strings.Repeat("x", crypt.MaxToken+1), strings.Repeat("x", 600-crypt.MaxToken-1)},
		"blanks":     {" a b \r\n", " a b \r", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := strings.NewReader(tc.in)
			got, err := scanLine(in)
			rest, _ := io.ReadAll(in)
			if err != nil || string(got) != tc.want || string(rest) != tc.rest {
				t.Errorf("got %q, rest %q, %v", got, rest, err)
			}
		})
	}
}

// terminal plays a person at a pseudo-terminal.
type terminal struct {
	t      *testing.T
	person *os.File
	name   string
	slave  *os.File
	shown  chan []byte
	seen   string // all output
	read   int    // length of the output already expected
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	person, slave, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo-terminal here: ", err)
	}
	t.Cleanup(func() { slave.Close(); person.Close() })
	p := &terminal{t: t, person: person, slave: slave, name: slave.Name(), shown: make(chan []byte, 64)}
	go func() {
		for {
			buf := make([]byte, 256)
			n, err := person.Read(buf)
			if err != nil {
				return
			}
			p.shown <- buf[:n]
		}
	}()
	return p
}

// expect waits for text after the previously expected text.
func (p *terminal) expect(text string) {
	p.t.Helper()
	deadline := time.After(time.Minute)
	for {
		if i := strings.Index(p.seen[p.read:], text); i >= 0 {
			p.read += i + len(text)
			return
		}
		select {
		case more := <-p.shown:
			p.seen += string(more)
		case <-deadline:
			p.t.Fatalf("no %q in %q", text, p.seen[p.read:])
		}
	}
}

func (p *terminal) types(text string) {
	p.t.Helper()
	if _, err := p.person.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *terminal) echoes() bool {
	p.t.Helper()
	state, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

type answer struct {
	token []byte
	err   error
}

func (p *terminal) asked(ctx context.Context) <-chan answer {
	a := &app{tty: p.name, err: io.Discard}
	done := make(chan answer, 1)
	go func() {
		token, err := a.token(ctx, tokenSource{fd: -1}, "admin")
		done <- answer{token, err}
	}()
	return done
}

func (p *terminal) answer(done <-chan answer) answer {
	p.t.Helper()
	select {
	case a := <-done:
		return a
	case <-time.After(time.Minute):
		p.t.Fatal("no answer in time")
		return answer{}
	}
}

func TestAskTwice(t *testing.T) {
	p := newTerminal(t)
	p.types("typed before\n")
	p.expect("typed before\r\n") // now the terminal has it, not only the kernel's queue
	done := p.asked(t.Context())
	p.expect("New password for admin: ")
	p.types("first\n")
	p.expect("Retype new password: ")
	p.types("second\n")
	p.expect("Passwords do not match.")
	p.expect("New password for admin: ")
	if p.echoes() {
		t.Error("the terminal echoes a password")
	}
	p.types("secret\n")
	p.expect("Retype new password: ")
	p.types("secret\n")
	if a := p.answer(done); a.err != nil || string(a.token) != "secret" {
		t.Errorf("got %q, %v", a.token, a.err)
	}
	if !p.echoes() {
		t.Error("echo is off")
	}
	if strings.Contains(p.seen, "secret") || strings.Contains(p.seen, "first") {
		t.Errorf("a password was echoed: %q", p.seen)
	}
}

func TestInterruptedQuestion(t *testing.T) {
	p := newTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := p.asked(ctx)
	p.expect("New password for admin: ")
	p.types("half")
	cancel()
	if a := p.answer(done); !errors.Is(a.err, context.Canceled) {
		t.Errorf("got %q, %v", a.token, a.err)
	}
	if !p.echoes() {
		t.Error("echo is off")
	}
}

func TestAskNobody(t *testing.T) {
	a := &app{tty: "/dev/null", err: io.Discard}
	_, err := a.token(t.Context(), tokenSource{fd: -1}, "admin")
	var none *noTerminalError
	if !errors.As(err, &none) {
		t.Errorf("got %v", err)
	}
}

// TestLineEndsOfOthers: byte order marks and CRs that other systems' editors add are not part of a
// password.
func TestLineEndsOfOthers(t *testing.T) {
	for input, want := range map[string]string{
		"word\r\n": "word", "word\r": "word", "\ufeffword\n": "word", "word\r\r\n": "word\r", "w\rord\n": "w\rord", "\r\n": "",
	} {
		token, err := readFirst(t.Context(), strings.NewReader(input))
		if string(token) != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", input, token, err, want)
		}
	}
}
