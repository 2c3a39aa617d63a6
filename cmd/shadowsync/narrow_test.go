package main

import (
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// wide is a terminal of so many columns; the function returns what was written to it.
func wide(t *testing.T, columns uint16) (*os.File, func() string) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	if err := pty.Setsize(near, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	text := make(chan string, 1)
	go func() {
		var b strings.Builder
		part := make([]byte, 4096)
		for {
			n, err := far.Read(part)
			b.Write(part[:n])
			if err != nil { // EIO: the near end is closed
				text <- strings.ReplaceAll(b.String(), "\r\n", "\n")
				return
			}
		}
	}()
	return near, func() string {
		_ = near.Close()
		return <-text
	}
}

// TestHintsCanBeCopied: a hint is broken before and after a command, never within.
func TestHintsCanBeCopied(t *testing.T) {
	for hint, want := range map[string]string{
		"shadowsync status": "hint: shadowsync status\n",
		"shadowsync user set password user222 --stdin < FILE":                                                                   "hint:\n  shadowsync user set password user222 --stdin < FILE\n",
		"choose another password, or: shadowsync user reset password admin":                                                     "hint: choose another password, or:\n  shadowsync user reset password admin\n",
		"shadowsync sync admin --prefer os (or --prefer store)":                                                                 "hint: shadowsync sync admin --prefer os\n  (or --prefer store)\n",
		"shadowsync sync (or, if a restart may undo the changes: shadowsync guard release 128T.service --force)":                "hint: shadowsync sync (or, if a restart\n  may undo the changes:\n  shadowsync guard release 128T.service --force)\n",
		"make room on /var, then: shadowsync guard release a.service (or, for one restart: rm /a/b && systemctl daemon-reload)": "hint: make room on /var, then:\n  shadowsync guard release a.service\n  (or, for one restart:\n  rm /a/b && systemctl daemon-reload)\n",
	} {
		narrow, said := wide(t, 40)
		a := &app{err: narrow}
		a.hint(hint)
		if got := said(); got != want {
			t.Errorf("it says\n%swant\n%s", got, want)
		}
	}
	narrow, said := wide(t, 40)
	a := &app{err: narrow}
	a.complaint("cannot run shadowsync sync: conflict: a person must decide about the account %s", "admin")
	if got, want := said(), "shadowsync: cannot run shadowsync sync:\n  conflict: a person must decide about\n  the account admin\n"; got != want {
		t.Errorf("it says\n%swant\n%s", got, want)
	}
}

// TestHelpOnANarrowTerminal: no line of any help page is wider than the terminal, but a command of
// an example, or one word.
func TestHelpOnANarrowTerminal(t *testing.T) {
	for _, columns := range []uint16{80, 40} {
		var pages int
		for _, command := range append(leaves(newRoot(&app{}), ""), "", "user", "user reset", "guard") {
			narrow, said := wide(t, columns)
			a := &app{out: narrow, err: narrow}
			root := newRoot(a)
			root.SetArgs(append(strings.Fields(command), "--help"))
			if err := root.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			page := said()
			pages++
			for line := range strings.Lines(page) {
				text := strings.TrimSpace(line)
				if len([]rune(strings.TrimSuffix(line, "\n"))) > int(columns) && strings.Contains(text, " ") && !strings.HasPrefix(line, "  shadowsync ") && !strings.HasPrefix(line, "  journalctl ") && line[0] != '\t' {
					t.Errorf("%s at %d columns: %q", command, columns, line)
				}
			}
		}
		if pages < 30 {
			t.Errorf("only %d pages", pages)
		}
	}
}
