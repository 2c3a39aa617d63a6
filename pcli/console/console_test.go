package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// typed is a screen that reads text as typed input and writes to out.
func typed(t testing.TB, text string, special Keys) (s *screen, out *bytes.Buffer) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	out = &bytes.Buffer{}
	return newScreen(newSource(ctx, strings.NewReader(text), 1), out, special), out
}

func TestEdit(t *testing.T) {
	tests := []struct {
		name, typed, want string
		err               error
	}{
		{"a line", "show user\r", "show user", nil},
		{"newline ends too", "show\n", "show", nil},
		{"the end", "", "", io.EOF},
		{"ctrl-d on an empty line", "\x04", "", io.EOF},
		{"ctrl-d in a line deletes", "abc\x01\x04\r", "bc", nil},
		{"ctrl-c", "abc\x03", "", ErrInterrupted},
		{"ctrl-z", "abc\x1a", "abc", ErrTop},
		{"backspaces", "abX\x7fY\x08c\r", "abc", nil},
		{"arrows", "ac\x1b[Db\r", "abc", nil},
		{"arrows in application mode", "ac\x1bODb\r", "abc", nil},
		{"home and end, four ways", "b\x1b[1~a\x1b[4~c\x1b[7~\x1b[8~d\r", "abcd", nil},
		{"delete", "abc\x1b[H\x1b[3~\r", "bc", nil},
		{"words", "show user\x1bbX\x1b[1;5CY\r", "show XuserY", nil},
		{"ctrl-u and ctrl-w", "abc\x15one two\x17\r", "one ", nil},
		{"umlauts", "ä€\x7fü\r", "äü", nil},
		{"stray bytes do not stop anything", "a\xffb\xc3c\x80\xe2\x82d\r", "abcd", nil},
		{"a genuine replacement character", "a\ufffdb\r", "ab", nil},
		{"NUL and other controls", "a\x00\x12\x1cb\r", "ab", nil},
		{"C1, bidi and zero width", "a\u009b\u202e\u200bb\r", "ab", nil},
		{"unknown sequences", "a\x1b[200~b\x1b[15;2~c\x1bxd\x1bOPe\r", "abcde", nil},
		{"an endless sequence", "a\x1b[" + strings.Repeat("1;", 7) + "1b\r", "ab", nil},
		{"as long as may be", strings.Repeat("x", maxLine) + "\r", strings.Repeat("x", maxLine), nil},
		{"too long", strings.Repeat("x", maxLine+1) + "\r", "", ErrLongLine},
		{"much too long", strings.Repeat("ü", 1<<16) + "\r", "", ErrLongLine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := typed(t, tt.typed, Keys{})
			got, err := s.ReadLine("> ")
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %.80q, %v; want %.80q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestEditOneAfterTheOther(t *testing.T) {
	s, out := typed(t, "given up\x03one\r\ntwo\r\r\x04three\r", Keys{})
	var got []string
	for range 6 {
		line, err := s.ReadLine("> ")
		if err != nil {
			line = err.Error()
		}
		got = append(got, line)
	}
	if want := "interrupted|one|two||EOF|three"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := "> given up^C\r\n> one\r\n> two\r\n> \r\n> \r\n> three\r\n"; out.String() != want {
		t.Errorf("shown %q, want %q", out, want)
	}
}

func TestReadSecret(t *testing.T) {
	tests := []struct {
		name, typed, want string
		err               error
	}{
		{"a password", "geheim ?!\r", "geheim ?!", nil},
		{"empty", "\r", "", nil},
		{"backspace takes a character", "gehü\x7f\x08im\r", "geim", nil},
		{"backspace on nothing", "\x7f\x7fa\r", "a", nil},
		{"begun anew", "wrong\x15right\r", "right", nil},
		{"not UTF-8", "gr\xfcn\r", "gr\xfcn", nil},
		{"tab belongs to it, arrows do not", "a\tb\x1b[Dc\r", "a\tbc", nil},
		{"ctrl-c", "abc\x03", "", ErrInterrupted},
		{"ctrl-d on nothing", "\x04", "", ErrInterrupted},
		{"ctrl-d in it", "ab\x04c\r", "abc", nil},
		{"ctrl-z", "ab\x1a", "", ErrInterrupted},
		{"the end", "ab", "", io.EOF},
		{"as long as may be", strings.Repeat("x", 16) + "\r", strings.Repeat("x", 16), nil},
		{"too long", strings.Repeat("x", 17) + "\r", "", ErrLongSecret},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, out := typed(t, tt.typed, Keys{})
			got, err := s.ReadSecret("Password:", 16)
			if string(got) != tt.want || !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
			if out.String() != "Password:\r\n" {
				t.Errorf("shown: %q", out)
			}
		})
	}
}

// The source's buffers do not contain a secret once it was taken.
func TestSourceWipes(t *testing.T) {
	s := newSource(context.Background(), strings.NewReader("canary"), 4096)
	for range len("canary") {
		if _, err := s.next(); err != nil {
			t.Fatal(err)
		}
	}
	if held := s.buffer[:cap(s.buffer)]; !bytes.Equal(held, make([]byte, len(held))) {
		t.Errorf("it still holds %q", bytes.Trim(held, "\x00"))
	}
}

func TestSpecialKeys(t *testing.T) {
	special := Keys{
		Help: func(line string) (string, bool) { return "HELP(" + line + ")\n", !strings.Contains(line, "'") },
		Complete: func(line string, pos int) (string, int, []string) {
			if line == "sh" {
				return "show ", 5, nil
			}
			return line, pos, []string{"one", "two"}
		},
	}
	tests := []struct{ name, typed, want, shown string }{
		{"help", "show ?\r", "show ", "> show ?\r\nHELP(show )\r\n"},
		{"help is for what is before the cursor", "show\x1b[D\x1b[D?\r", "show", "HELP(sh)\r\n"},
		{"help as a character", "'?'\r", "'?'", ""},
		{"completed", "sh\tx\r", "show x", ""},
		{"one Tab is a bell", "x\t\r", "x", "\a"},
		{"two Tabs list", "x\t\t\r", "x", "> x\r\none  two\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, out := typed(t, tt.typed, special)
			line, err := s.ReadLine("> ")
			if line != tt.want || err != nil || !strings.Contains(out.String(), tt.shown) {
				t.Errorf("%q, %v; shown %q", line, err, out)
			}
		})
	}
}

func TestAskHasNoSpecialKeys(t *testing.T) {
	s, _ := typed(t, "what\t?\x1b[A\r", Keys{
		Help:     func(string) (string, bool) { return "", true },
		Complete: func(string, int) (string, int, []string) { return "completed", 0, nil },
		History:  past{"from the history"},
	})
	if line, err := s.Ask("Full Name: "); line != "what?" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}

type past []string

func (p past) Len() int        { return len(p) }
func (p past) At(i int) string { return p[i] }

func TestPage(t *testing.T) {
	long := strings.Repeat("line\n", 60) // 23 rows at first, then 22 more per page
	tests := []struct {
		name, typed string
		lines       int
	}{
		{"quit at once", "q", 23},
		{"a line, another, quit", "\r\rq", 25},
		{"a page, quit", " q", 46},
		{"all", "   ", 60},
		{"other keys wait", "xyz\x1b[Cq", 23},
		{"ctrl-c", "\x03", 23},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, out := typed(t, tt.typed, Keys{})
			if err := s.Page(long); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out.String(), "line\r\n"); n != tt.lines {
				t.Errorf("%d lines, want %d", n, tt.lines)
			}
			if strings.Count(out.String(), more) != strings.Count(out.String(), "\r\x1b[K") {
				t.Errorf("a mark is left: %q", out)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	never, hold := io.Pipe()
	defer hold.Close()
	s := newScreen(newSource(context.Background(), never, 1), io.Discard, Keys{})
	s.SetIdle(10 * time.Millisecond)
	if _, err := s.ReadLine("> "); !errors.Is(err, ErrIdle) {
		t.Errorf("ReadLine: %v", err)
	}
	if _, err := s.ReadSecret("Password:", 10); !errors.Is(err, ErrIdle) {
		t.Errorf("ReadSecret: %v", err)
	}
}

func TestBusy(t *testing.T) {
	t.Run("ends by itself, and what was typed meanwhile is for later", func(t *testing.T) {
		s, _ := typed(t, "later\r", Keys{})
		release := make(chan struct{})
		time.AfterFunc(20*time.Millisecond, func() { close(release) })
		if err := s.Busy(func(context.Context) error { <-release; return nil }); err != nil {
			t.Error(err)
		}
		if line, err := s.ReadLine("> "); line != "later" || err != nil {
			t.Errorf("%q, %v", line, err)
		}
	})
	t.Run("ctrl-c", func(t *testing.T) {
		s, _ := typed(t, "x\x03", Keys{})
		err := s.Busy(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if !errors.Is(err, ErrInterrupted) {
			t.Error(err)
		}
	})
	t.Run("a hang-up", func(t *testing.T) {
		lost := errors.New("lost")
		ctx, cancel := context.WithCancelCause(context.Background())
		s := newScreen(newSource(ctx, strings.NewReader(""), 1), io.Discard, Keys{})
		time.AfterFunc(time.Millisecond, func() { cancel(lost) })
		err := s.Busy(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if !errors.Is(err, lost) {
			t.Error(err)
		}
	})
}

// FuzzEdit: for any input the editor ends, and a line is text of limited length without control
// characters.
func FuzzEdit(f *testing.F) {
	for _, s := range []string{"show user\r", "\x1b[A\x1b[", "\xff\xc3", "a\x00\x03", "\x1b[200~x\x1b[201~", "?\t\t", strings.Repeat("\x1b", 40)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, keys []byte) {
		s, out := typed(t, string(keys), Keys{
			Help:     func(line string) (string, bool) { return line + "\n", len(line)%2 == 0 },
			Complete: func(line string, pos int) (string, int, []string) { return line[:pos] + "x" + line[pos:], pos + 1, nil },
			History:  past{"one", "two"},
		})
		for {
			line, err := s.ReadLine("> ")
			if len(line) > maxLine || !utf8.ValidString(line) || printable.Quote(line) != line {
				t.Fatalf("%q gives %q", keys, line)
			}
			if errors.Is(err, io.EOF) && s.source.ended != nil && len(s.source.ahead) == 0 {
				break
			}
			if s.source.ctx.Err() != nil {
				t.Fatalf("no end after %q", keys)
			}
		}
		if !utf8.Valid(out.Bytes()) {
			t.Errorf("shown: %q", out)
		}
	})
}

// TestLineEndsOfOthers: byte order marks and CRs that other systems' editors add are not part of a
// password.
func TestLineEndsOfOthers(t *testing.T) {
	for input, want := range map[string][]string{
		"one\r\ntwo\r\n":                      {"one", "two"},
		"\ufeffone\r\n\ufefftwo\r\n":          {"one", "\ufefftwo"},
		"one\r\r\ntwo\r":                      {"one\r", "two"},
		"o\rne\n\xef\xbbtwo\n":                {"o\rne", "\xef\xbbtwo"},
		"\xef\xbbone\ntwo":                    {"\xef\xbbone", "two"},
		strings.Repeat("x", 20) + "\r\ny\r\n": {strings.Repeat("x", 20), "y"},
	} {
		s := newSource(t.Context(), strings.NewReader(input), 4096)
		for _, secret := range want {
			if got, err := readSecret(&lineEnds{source: s}, 20); string(got) != secret || err != nil {
				t.Errorf("%q: %q, %v, want %q", input, got, err, secret)
			}
		}
	}
	s := newSource(t.Context(), strings.NewReader("\ufeffset password\r\nold\r\n"), 4096)
	line, err := readLine(s)
	secret, failed := readSecret(&lineEnds{source: s}, 20)
	if line != "set password" || err != nil || string(secret) != "old" || failed != nil {
		t.Errorf("a script: %q, %v, %q, %v", line, err, secret, failed)
	}
}
