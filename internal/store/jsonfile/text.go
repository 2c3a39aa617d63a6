package jsonfile

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unquote returns the meaning of a scanned string, quotes included. It fails for half of a
// surrogate pair, which no account's name and no hash contains.
func unquote(quoted []byte) (text string, ok bool) {
	in := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(in, '\\') < 0 {
		return string(in), true
	}
	out := make([]byte, 0, len(in))
	for len(in) > 0 {
		if in[0] != '\\' {
			out = append(out, in[0])
			in = in[1:]
			continue
		}
		r, size := unescape(in)
		if utf16.IsSurrogate(r) {
			low, more := unescape(in[size:])
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return "", false
			}
			size += more
		}
		out = utf8.AppendRune(out, r)
		in = in[size:]
	}
	return string(out), true
}

// unescape decodes the escape at the beginning of in and returns its length; 0 if there is none.
func unescape(in []byte) (rune, int) {
	if len(in) < 2 || in[0] != '\\' {
		return 0, 0
	}
	switch c := in[1]; c {
	case 'u':
		n, _ := strconv.ParseUint(string(in[2:6]), 16, 16) // the scanner has checked the four hexadecimal digits
		return rune(n), 6
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	default:
		return rune(c), 2
	}
}

// appendQuoted is the inverse of unquote for valid UTF-8, with no more escapes than needed.
func appendQuoted(out []byte, text string) []byte {
	out = append(out, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
