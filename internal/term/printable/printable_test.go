package printable

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestQuote(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "admin", "admin"},
		{"empty", "", ""},
		{"letters beyond ASCII", "Jürgen 管理者 👍", "Jürgen 管理者 👍"},
		{"combining mark", "e\u0301", "e\u0301"},
		{"backslash stays", `a\nb`, `a\nb`},
		{"newline", "admin\nroot", `admin\nroot`},
		{"tab and return", "a\tb\rc", `a\tb\rc`},
		{"NUL and DEL", "\x00\x7f", `\x00\x7f`},
		{"CSI with ESC", "\x1b[31mred", `\x1b[31mred`},
		{"C1 CSI", "\u009b31m", `\u009b31m`},
		{"NEL", "\u0085", `\u0085`},
		{"raw C1 byte", "\x9b31m", `\x9b31m`},
		{"right-to-left override", "a\u202eb", `a\u202eb`},
		{"isolates and marks", "\u2066\u2069\u200f\u061c", `\u2066\u2069\u200f\u061c`},
		{"zero width", "a\u200b\u200d\ufeffb", `a\u200b\u200d\ufeffb`},
		{"line and paragraph separator", "\u2028\u2029", `\u2028\u2029`},
		{"no-break space", "a\u00a0b", `a\u00a0b`},
		{"soft hyphen", "a\u00adb", `a\u00adb`},
		{"tag character", "\U000e0041", `\U000e0041`},
		{"private use", "\ue000", `\ue000`},
		{"Hangul filler", "a\u3164", `a\u3164`},
		{"variation selector", "a\ufe0f", `a\ufe0f`},
		{"invalid UTF-8", "a\xff\xc3(", `a\xff\xc3(`},
		{"surrogate in UTF-8", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"genuine replacement character", "a\ufffdb", "a\ufffdb"},
		{"replacement character, then a stray byte", "\ufffd\xfe", "\ufffd\\xfe"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Quote(tt.in); got != tt.want {
				t.Errorf("Quote(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestClip(t *testing.T) {
	tests := []struct {
		name, in string
		n        int
		want     string
	}{
		{"fits", "admin", 5, "admin"},
		{"cut", "administrator", 8, "admin…"},
		{"never inside a character", "aaaü!", 5, "aa…"},
		{"never inside an escape", "aa\x1bbbbb", 7, "aa…"},
		{"escape that just fits", "aa\x1b", 6, `aa\x1b`},
		{"only the ellipsis", "admin", 3, "…"},
		{"nothing fits", "admin", 2, ""},
		{"negative", "admin", -1, ""},
		{"empty fits nowhere", "", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Clip(tt.in, tt.n); got != tt.want {
				t.Errorf("Clip(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
			}
		})
	}
}

func TestClipLeavesHugeTextAlone(t *testing.T) {
	huge := strings.Repeat("\x1b", 64<<20)
	work := testing.AllocsPerRun(1, func() { Clip(huge, 40) })
	if work > 50 {
		t.Errorf("Clip of 64 MB to 40 bytes made %v allocations", work)
	}
}

// unsafeRune reports what the package comment promises to exclude. Unlike the code it uses
// categories, so that the two can disagree.
func unsafeRune(r rune) bool {
	return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || unicode.Is(unicode.Zs, r) && r != ' '
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"admin", "a\nb", "\x1b]0;x\x07", "\u202e\xff\u2028", "\ufffd", "\U000e0001"} {
		f.Add(s, 12)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		q := Quote(s)
		check(t, s, q)
		if Quote(q) != q {
			t.Errorf("not idempotent: %q gives %q, then %q", s, q, Quote(q))
		}
		c := Clip(s, n)
		check(t, s, c)
		if len(c) > max(n, 0) {
			t.Errorf("Clip(%q, %d) = %q has %d bytes", s, n, c, len(c))
		}
		if len(q) <= n && c != q {
			t.Errorf("Clip(%q, %d) = %q although %q fits", s, n, c, q)
		}
		if Clip(c, n) != c {
			t.Errorf("Clip is not idempotent on %q", s)
		}
	})
}

func check(t *testing.T, in, out string) {
	t.Helper()
	if !utf8.ValidString(out) {
		t.Errorf("%q gives invalid UTF-8: %q", in, out)
	}
	if i := strings.IndexFunc(out, unsafeRune); i >= 0 {
		t.Errorf("%q gives %q, unsafe at byte %d", in, out, i)
	}
}

// TestEveryRune goes through all code points, which a fuzzer does not.
func TestEveryRune(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		in := string(r)
		if out := Quote(in); strings.IndexFunc(out, unsafeRune) >= 0 || out == "" {
			t.Fatalf("U+%04X gives %q", r, out)
		}
	}
}
