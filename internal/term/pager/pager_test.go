package pager

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// terminal opens a terminal of 10 rows and 40 columns. The function closes it and returns what was
// printed on it.
func terminal(t *testing.T) (tty *os.File, printed func() string) {
	t.Helper()
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(person, &pty.Winsize{Rows: 10, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	all := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(person) // it ends with EIO once the terminal is closed
		all <- strings.ReplaceAll(string(text), "\r\n", "\n")
	}()
	t.Cleanup(func() { person.Close() })
	return tty, func() string {
		tty.Close()
		return <-all
	}
}

// program writes a shell script that serves as the pager.
func program(t *testing.T, script string) Environment {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pager")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Environment{Variables: []string{"TERM=vt100", "PATH=/usr/bin:/bin", "PAGER=" + path}, Ours: true}
}

func TestOnlyLongTextIsPaged(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		paged bool
	}{
		"none":                  {"", false},
		"short":                 {strings.Repeat("line\n", 9), false},
		"as long as the screen": {strings.Repeat("line\n", 10), true},
		"long lines":            {strings.Repeat(strings.Repeat("x", 41)+"\n", 5), true},
		"one long line":         {strings.Repeat("x", 400), true},
		"wide characters":       {strings.Repeat(strings.Repeat("電", 21)+"\n", 5), true},
		"much longer":           {strings.Repeat("line\n", 100_000), true},
	} {
		t.Run(name, func(t *testing.T) {
			tty, printed := terminal(t)
			p := On(t.Context(), tty, program(t, "wc -c"), func() { t.Error("nobody has left") })
			for _, part := range []string{test.text[:len(test.text)/2], test.text[len(test.text)/2:]} {
				if n, err := io.WriteString(p, part); err != nil || n != len(part) {
					t.Fatal(n, err)
				}
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			want := test.text
			if test.paged {
				want = strconv.Itoa(len(test.text)) + "\n"
			}
			if got := printed(); got != want {
				t.Errorf("the terminal shows %.80q, want %.80q", got, want)
			}
		})
	}
}

// TestLeavingEarly: the writes end, and with them the work behind them.
func TestLeavingEarly(t *testing.T) {
	tty, printed := terminal(t)
	ctx, quit := context.WithCancel(t.Context())
	p := On(t.Context(), tty, program(t, "head -n 1"), quit)
	var err error
	for range 1 << 20 {
		if _, err = io.WriteString(p, "a line of the text\n"); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrQuit) || ctx.Err() == nil {
		t.Errorf("writing ends with %v, the work with %v", err, ctx.Err())
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if got := printed(); got != "a line of the text\n" {
		t.Errorf("the terminal shows %q", got)
	}
}

// TestAPagerThatDoesNotStart: the text is printed.
func TestAPagerThatDoesNotStart(t *testing.T) {
	from := program(t, "")
	path := strings.TrimPrefix(from.Variables[2], "PAGER=")
	if err := os.WriteFile(path, []byte("#!/nowhere\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tty, printed := terminal(t)
	p := On(t.Context(), tty, from, func() {})
	text := strings.Repeat("line\n", 20)
	if _, err := io.WriteString(p, text); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if got := printed(); got != text {
		t.Errorf("the terminal shows %q", got)
	}
}

func TestATerminalWithoutASize(t *testing.T) {
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	defer tty.Close()
	if On(t.Context(), tty, program(t, "cat"), func() {}) != nil {
		t.Error("a terminal of no rows is paged")
	}
}

func TestWithoutATerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if On(t.Context(), file, program(t, "cat"), func() {}) != nil {
		t.Error("a file is paged")
	}
}
