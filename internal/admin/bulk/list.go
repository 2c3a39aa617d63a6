package bulk

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"golang.org/x/sys/unix"
)

// maxList limits a list of accounts: a hundred thousand lines fit.
const maxList = 64 << 20

// ErrLine does not show the line, which may contain a password.
var ErrLine = errors.New(`a line must be "name:password"`)

// Target is an account to work on.
type Target struct {
	Name  string
	Line  int    // of the list; 0: named by itself
	Token []byte // of "name:password"
	Fault error  // of its line
}

// Label names a target in messages. A line that does not name a managed account is shown by its
// number, because it may contain anything.
func (t Target) Label() string {
	if t.Line > 0 {
		return fmt.Sprintf("line %d", t.Line)
	}
	return t.Name
}

// LastOfEach drops targets whose account appears again later: as with chpasswd(8), which sets them
// in order, the last one counts.
func LastOfEach(targets []Target) (last []Target, dropped int) {
	at := make(map[string]int, len(targets))
	for i, t := range targets {
		at[t.Name] = i
	}
	for i, t := range targets {
		if at[t.Name] == i || t.Fault != nil {
			last = append(last, t)
		}
	}
	return last, len(targets) - len(last)
}

// ParseList reads lines "name", or "name:password" as chpasswd(8) does: the password is everything
// after the first colon. It ignores empty lines, a byte order mark before the first line, and one
// CR at the end of each line.
func ParseList(text []byte, tokens bool) []Target {
	var list []Target
	text = bytes.TrimPrefix(text, cleartext.ByteOrderMark)
	for number := 1; len(text) > 0; number++ {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		if line = cleartext.TrimReturn(line); len(line) == 0 {
			continue
		}
		t := Target{Line: number}
		if name, token, ok := bytes.Cut(line, []byte(":")); tokens && ok {
			t.Name, t.Token = string(name), token[:len(token):len(token)] // wiped up to its capacity
		} else if tokens {
			t.Fault = ErrLine
		} else {
			t.Name = string(bytes.TrimSpace(line))
		}
		list = append(list, t)
	}
	return list
}

// ReadAll reads to the end into one buffer. When the buffer grows, it wipes the old one.
func ReadAll(f io.Reader, size int64) ([]byte, error) {
	text := make([]byte, 0, min(max(size+1, 64<<10), maxList+1))
	for {
		n, err := f.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case errors.Is(err, io.EOF):
			return text, nil
		case err != nil:
			return text, err
		case len(text) > maxList:
			return text, unix.EFBIG
		case len(text) == cap(text):
			grown := append(make([]byte, 0, min(2*cap(text), maxList+1)), text...)
			cleartext.Wipe(text)
			text = grown
		}
	}
}
