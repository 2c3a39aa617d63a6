package table

import (
	"strings"
	"testing"

	"github.com/clipperhouse/displaywidth"
)

// accounts is a table like that of `shadowsync status`.
func accounts(style Style) *Table {
	t := New(style, Column{Head: "ACCOUNT"}, Column{Head: "STATE"}, Column{Head: "SINCE", Rank: 1}, Column{Head: "CHANGE", Wrap: true})
	t.Row("admin", "in-sync", "2026-11-28 10:00:00", "by root (passwd, on pts/0, from 192.0.2.7, seen by pam)")
	t.Row("jürgen", "pending", "", "by root (usermod, seen by watch)")
	return t
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		name  string
		width int
		want  string
	}{
		{"no terminal", 0, "" +
			"ACCOUNT  STATE    SINCE                CHANGE\n" +
			"admin    in-sync  2026-11-28 10:00:00  by root (passwd, on pts/0, from 192.0.2.7, seen by pam)\n" +
			"jürgen   pending                       by root (usermod, seen by watch)\n"},
		{"cells are broken between words", 71, "" +
			"ACCOUNT  STATE    SINCE                CHANGE\n" +
			"admin    in-sync  2026-11-28 10:00:00  by root (passwd, on pts/0, from\n" +
			"                                       192.0.2.7, seen by pam)\n" +
			"jürgen   pending                       by root (usermod, seen by watch)\n"},
		{"a column is left out", 50, "" +
			"ACCOUNT  STATE    CHANGE\n" +
			"admin    in-sync  by root (passwd, on pts/0, from\n" +
			"                  192.0.2.7, seen by pam)\n" +
			"jürgen   pending  by root (usermod, seen by watch)\n"},
		{"a block for each row", 24, "" +
			"ACCOUNT: admin\n" +
			"STATE: in-sync\n" +
			"SINCE: 2026-11-28\n" +
			"  10:00:00\n" +
			"CHANGE: by root (passwd,\n" +
			"  on pts/0, from\n" +
			"  192.0.2.7, seen by\n" +
			"  pam)\n" +
			"\n" +
			"ACCOUNT: jürgen\n" +
			"STATE: pending\n" +
			"CHANGE: by root\n" +
			"  (usermod, seen by\n" +
			"  watch)\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := accounts(Plain).Text(test.width); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestRuled(t *testing.T) {
	table := New(Ruled, Column{Head: "Username"}, Column{Head: "State"})
	table.Row("admin", "in-sync")
	const want = "" +
		"========== =========\n" +
		" Username   State\n" +
		"========== =========\n" +
		" admin      in-sync\n"
	for _, width := range []int{0, 20} {
		if got := table.Text(width); got != want {
			t.Errorf("width %d: got\n%s\nwant\n%s", width, got, want)
		}
	}
}

// TestNothingIsWider tries every width: no line is wider than the terminal unless a single word is,
// and no word is broken.
func TestNothingIsWider(t *testing.T) {
	longest := 0
	words := map[string]bool{}
	for _, row := range accounts(Plain).rows {
		for _, cell := range row {
			longest = max(longest, longestWord(cell))
			for word := range strings.FieldsSeq(cell) {
				words[word] = true
			}
		}
	}
	for _, style := range []Style{Plain, Ruled, {Indent: "  ", Gap: 2}} {
		for width := longest + len("ACCOUNT:  ") + 2; width < 120; width++ {
			text := accounts(style).Text(width)
			for line := range strings.Lines(text) {
				if w := displaywidth.String(strings.TrimSuffix(line, "\n")); w > width {
					t.Errorf("width %d: a line has %d: %q", width, w, line)
				}
			}
			shown := map[string]bool{}
			for word := range strings.FieldsSeq(text) {
				shown[word] = true
			}
			for _, cell := range []string{"admin", "in-sync", "192.0.2.7,", "jürgen"} {
				if !shown[cell] || !words[cell] {
					t.Errorf("width %d: %q is broken or gone:\n%s", width, cell, text)
				}
			}
		}
	}
}

func TestCellsAreQuoted(t *testing.T) {
	table := New(Plain, Column{Head: "NAME"})
	table.Row("a\x1b[31mb\nc")
	if text := table.Text(0); strings.ContainsAny(strings.TrimPrefix(text, "NAME\n"), "\x1b") || strings.Count(text, "\n") != 2 {
		t.Errorf("%q", text)
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		line  string
		width int
		more  string
		want  string
	}{
		{"short", 80, "  ", "short"},
		{"no terminal at all", 0, "  ", "no terminal at all"},
		{"one two three", 7, "  ", "one two\n  three"},
		{"  one two three", 9, "    ", "  one two\n    three"},
		{"averylongwordthatstays whole", 10, "  ", "averylongwordthatstays\n  whole"},
	} {
		if got := Wrap(test.line, test.width, test.more); got != test.want {
			t.Errorf("Wrap(%q, %d) = %q, want %q", test.line, test.width, got, test.want)
		}
	}
}
