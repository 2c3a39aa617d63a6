package grammar

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// These errors concern the line as a whole, before its words are read.
var (
	ErrTooLong   = fmt.Errorf("the line is longer than %d bytes", MaxLine)
	ErrNotText   = errors.New("the line holds control characters or is not UTF-8")
	ErrOpenQuote = errors.New("a quote is not closed")
)

// token is one word of a line.
type token struct {
	text       string
	start, end int  // position in the line, quotes included
	quoted     bool // in any part; then it is a value, never a keyword
	open       bool // its quote is not closed; only for the last token
}

// lex splits a line at spaces. '…' takes all text literally. Inside "…" and outside quotes, a
// backslash makes the next character literal.
func lex(line string) ([]token, error) {
	if err := check(line); err != nil {
		return nil, err
	}
	var tokens []token
	for i := 0; i < len(line); {
		if blank(line[i]) {
			i++
			continue
		}
		t := word(line, i)
		tokens = append(tokens, t)
		i = t.end
	}
	return tokens, nil
}

func check(line string) error {
	if len(line) > MaxLine {
		return ErrTooLong
	}
	if !utf8.ValidString(line) {
		return ErrNotText
	}
	if flat := strings.ReplaceAll(line, "\t", " "); printable.Quote(flat) != flat {
		return ErrNotText
	}
	return nil
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// word reads the token that begins at start.
func word(line string, start int) token {
	t := token{start: start}
	var text strings.Builder
	var quote byte
	i := start
	for ; i < len(line) && (quote != 0 || !blank(line[i])); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, t.quoted = c, true
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			text.WriteByte(line[i])
			t.quoted = true
		default:
			text.WriteByte(c)
		}
	}
	t.text, t.end, t.open = text.String(), i, quote != 0
	return t
}
