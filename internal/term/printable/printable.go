// Package printable makes foreign text safe to show: account and unit names, messages of a store,
// content of a file. Its output never contains a control character (C0, DEL, C1), a bidi or other
// format character, an invisible filler, a line or paragraph separator, a space other than U+0020,
// or invalid UTF-8. So it is safe for a terminal, sd_notify(3), a journal field or the audit, and
// stays on one line.
//
// Characters that are not printable become a visible escape as in Go: \n, \t, \r, \x1b for other
// bytes below U+0080 and for bytes that are not UTF-8, \u202e, \U000e0001. A backslash stays as it
// is. That makes [Quote] idempotent, so text may be quoted more than once on its way. The price is
// that it cannot be undone: a newline and the two characters \n look the same. Nothing may unquote
// the result.
package printable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ellipsis ends a clipped text.
const ellipsis = "…"

// Quote returns s with everything escaped that is not printable. It returns printable text
// unchanged, without a copy.
func Quote(s string) string {
	clean := cleanPrefix(s)
	if clean == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	b.WriteString(s[:clean])
	for rest := s[clean:]; rest != ""; {
		unit, size := next(rest)
		b.WriteString(unit)
		rest = rest[size:]
	}
	return b.String()
}

// Clip is [Quote] with a result of at most n bytes. A longer text ends in "…" and is never cut
// inside a character or an escape; if not even the ellipsis fits (n < 3), the result is empty. It
// reads only about the first n bytes of s, however long s is.
func Clip(s string, n int) string {
	var b strings.Builder
	cut := 0 // the longest length that leaves room for the ellipsis
	for rest := s; rest != ""; {
		unit, size := next(rest)
		if b.Len()+len(unit) > n {
			return clipped(b.String()[:cut], n)
		}
		b.WriteString(unit)
		rest = rest[size:]
		if b.Len()+len(ellipsis) <= n {
			cut = b.Len()
		}
	}
	return b.String()
}

func clipped(s string, n int) string {
	if n < len(ellipsis) {
		return ""
	}
	return s + ellipsis
}

// cleanPrefix returns the length of the part of s that needs no escape.
func cleanPrefix(s string) int {
	for i, r := range s {
		if !plain(r) {
			return i
		}
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return i // an invalid byte, not a genuine U+FFFD
		}
	}
	return len(s)
}

// next returns the safe form of the first character or invalid byte of s, which is not empty, and
// how many bytes of s it replaces.
func next(s string) (unit string, size int) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		return hex(`\x`, uint32(s[0]), 2), 1
	case plain(r):
		return s[:size], size
	default:
		return escape(r), size
	}
}

// plain reports whether r is shown as it is. unicode.IsPrint accepts some characters that are
// invisible (Hangul fillers, variation selectors); they would make two different names look alike.
func plain(r rune) bool {
	return unicode.IsPrint(r) &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func escape(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r == '\r':
		return `\r`
	case r < utf8.RuneSelf:
		return hex(`\x`, uint32(r), 2)
	case r <= 0xffff:
		return hex(`\u`, uint32(r), 4)
	default:
		return hex(`\U`, uint32(r), 8)
	}
}

func hex(prefix string, v uint32, digits int) string {
	const alphabet = "0123456789abcdef"
	out := []byte(prefix)
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		out = append(out, alphabet[v>>shift&0xf])
	}
	return string(out)
}
