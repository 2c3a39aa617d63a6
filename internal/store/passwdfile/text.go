package passwdfile

import (
	"bytes"
	"iter"
	"strings"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/textfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// clearText stands for what is in the file as clear text, or may be: that must not get into the
// state, its history or a backup. No format can hold it, so it is never written.
const clearText = "(clear text)"

// checkText refuses what the servers read differently from each other. They stop at a NUL, and take
// a byte order mark for a part of the first name.
func checkText(data []byte) error {
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		return driver.Malformed("the file begins with a byte order mark, which its server takes for a part of the first name")
	}
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return malformed(1+bytes.Count(data[:at], []byte("\n")), "a NUL byte")
	}
	return nil
}

func malformed(line int, format string, args ...any) error {
	return driver.Malformed("line %d: "+format, append([]any{line}, args...)...)
}

// lines returns the number and the place of each line, without its end: LF, or CR and LF.
func lines(data []byte) iter.Seq2[int, textfile.Span] {
	return func(yield func(int, textfile.Span) bool) {
		for n, start := 1, 0; start < len(data); n++ {
			end, next := len(data), len(data)
			if i := bytes.IndexByte(data[start:], '\n'); i >= 0 {
				end, next = start+i, start+i+1
			}
			if end > start && data[end-1] == '\r' {
				end--
			}
			if !yield(n, textfile.Span{Start: start, End: end}) {
				return
			}
			start = next
		}
	}
}

// trim returns the place without blanks at its ends.
func trim(data []byte, at textfile.Span) textfile.Span {
	for at.Start < at.End && blank(data[at.Start]) {
		at.Start++
	}
	for at.Start < at.End && blank(data[at.End-1]) {
		at.End--
	}
	return at
}

// blank is isspace(3) within a line.
func blank(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// checkValue refuses a value that could end its field, or mean something else in it. No hash format
// needs more characters.
func checkValue(value, more string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./$,=+-_!*"
	switch {
	case value == "":
		return &shadowsync.RefusedError{Reason: "an empty password field could let everybody in"}
	case len(value) > maxValue:
		return &shadowsync.RefusedError{Reason: "the password field is too long"}
	case strings.IndexFunc(value, func(r rune) bool { return !strings.ContainsRune(letters+more, r) }) >= 0:
		return &shadowsync.RefusedError{Reason: "the password field has a character that the file cannot hold"}
	}
	return nil
}

// maxValue is the greatest length of a value in bytes. crypt(3) returns less than 400; a salted hash of an
// application's own has less than 1000.
const maxValue = 2048

// found collects the records of the wanted accounts. One that is there twice is not edited: the
// servers do not agree on which one counts.
type found map[string]textfile.Record

func (f found) add(name string, r textfile.Record) {
	if _, again := f[name]; again {
		r = textfile.Record{Fault: driver.Malformed("account %q is there twice", name)}
	}
	f[name] = r
}
