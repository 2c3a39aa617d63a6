package jsonfile

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/textfile"
)

// maxDepth is how deep objects and lists may be nested.
const maxDepth = 64

// span is a part of the file.
type span = textfile.Span

// scanner reads JSON strictly as in RFC 8259 (see word for the exception), one value at a time and
// without a copy. It keeps positions, because edits need them.
type scanner struct {
	data  []byte
	at    int
	depth int
}

// begin checks the text as a whole and moves to its first value.
func (s *scanner) begin() error {
	switch {
	case bytes.HasPrefix(s.data, []byte("\ufeff")):
		return s.fail(0, "a byte order mark")
	case !utf8.Valid(s.data):
		return s.fail(validPrefix(s.data), "not UTF-8")
	}
	s.space()
	return nil
}

func validPrefix(data []byte) int {
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return at
}

// fail names the line of the error.
func (s *scanner) fail(at int, format string, args ...any) error {
	line := 1 + bytes.Count(s.data[:min(at, len(s.data))], []byte("\n"))
	return driver.Malformed("line %d: %s", line, fmt.Sprintf(format, args...))
}

// end checks that nothing follows the value.
func (s *scanner) end() error {
	s.space()
	if s.at < len(s.data) {
		return s.fail(s.at, "text after the end")
	}
	return nil
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\n', '\t', '\r':
			s.at++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end of the text. JSON contains no byte 0.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

// take moves past c and the space after it, if c comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	s.space()
	return true
}

// skip moves past one value and returns its span.
func (s *scanner) skip() (span, error) {
	start := s.at
	var err error
	switch c := s.peek(); {
	case c == '"':
		return s.text()
	case c == '{':
		err = s.object(func(span) error { _, err := s.skip(); return err })
	case c == '[':
		err = s.list(func(int) error { _, err := s.skip(); return err })
	case c == '-' || '0' <= c && c <= '9':
		err = s.number()
	default:
		err = s.literal()
	}
	return span{Start: start, End: s.at}, err
}

// object calls member at each value, with the key's span, quotes included. Member must move past
// the value.
func (s *scanner) object(member func(key span) error) error {
	return s.nested('{', '}', func(int) error {
		key, err := s.text()
		if err != nil {
			return err
		}
		s.space()
		if !s.take(':') {
			return s.fail(s.at, "a colon is missing")
		}
		return member(key)
	})
}

// list calls element at each element. Element must move past it.
func (s *scanner) list(element func(i int) error) error { return s.nested('[', ']', element) }

func (s *scanner) nested(opening, closing byte, part func(i int) error) error {
	if !s.take(opening) {
		return s.fail(s.at, "%q is missing", opening)
	}
	if s.depth++; s.depth > maxDepth {
		return s.fail(s.at, "nested deeper than %d", maxDepth)
	}
	defer func() { s.depth-- }()
	for i := 0; i > 0 || s.peek() != closing; i++ {
		if err := part(i); err != nil {
			return err
		}
		s.space()
		if !s.take(',') {
			break
		}
	}
	if s.peek() != closing {
		return s.fail(s.at, "%q is missing", closing)
	}
	s.at++
	return nil
}

// text moves past a string and returns its span, quotes included.
func (s *scanner) text() (span, error) {
	start := s.at
	if s.peek() != '"' {
		return span{}, s.fail(start, "a string is missing")
	}
	for s.at++; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return span{Start: start, End: s.at}, nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return span{}, err
			}
		case c < ' ':
			return span{}, s.fail(s.at, "a control character in a string")
		}
	}
	return span{}, s.fail(start, "a string without an end")
}

// escape moves from a backslash to the last byte of its escape.
func (s *scanner) escape() error {
	s.at++
	switch c := s.peek(); c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			s.at++
			if !isHex(s.peek()) {
				return s.fail(s.at, `\u without four hexadecimal digits`)
			}
		}
		return nil
	}
	return s.fail(s.at, "an unknown escape in a string")
}

func (s *scanner) number() error {
	start := s.at
	if s.peek() == '-' {
		s.at++
	}
	if s.word("Infinity") {
		return nil
	}
	leadingZero := s.peek() == '0'
	whole := s.digits()
	good := whole == 1 || whole > 1 && !leadingZero
	if s.peek() == '.' {
		s.at++
		good = s.digits() > 0 && good
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		good = s.digits() > 0 && good
	}
	if !good {
		return s.fail(start, "a malformed number")
	}
	return nil
}

// digits moves past digits and counts them.
func (s *scanner) digits() int {
	start := s.at
	for '0' <= s.peek() && s.peek() <= '9' {
		s.at++
	}
	return s.at - start
}

func (s *scanner) literal() error {
	for _, word := range [...]string{"true", "false", "null", "NaN", "Infinity"} {
		if s.word(word) {
			return nil
		}
	}
	return s.fail(s.at, "a value is missing")
}

// word moves past a word. NaN and Infinity are not JSON, but Python's json and others write and
// read them; they stay as they are.
func (s *scanner) word(word string) bool {
	if !bytes.HasPrefix(s.data[s.at:], []byte(word)) {
		return false
	}
	s.at += len(word)
	return true
}
