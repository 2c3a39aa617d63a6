package scheme

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// limit says which clear texts a form can hold. No form holds an empty one or one with a NUL byte:
// PAM cannot carry a NUL, and login pages refuse it.
type limit struct {
	bytes int                       // the length of the longest; 0: as crypt.MaxToken
	runes int                       // the same in characters; 0: no limit
	text  bool                      // the application takes only UTF-8
	also  func(secret []byte) error // what else is asked; nil: nothing
}

// check returns a *shadowsync.RefusedError if the clear text does not fit.
func (l limit) check(secret []byte) error {
	longest := l.bytes
	if longest == 0 {
		longest = crypt.MaxToken
	}
	switch {
	case len(secret) == 0:
		return &shadowsync.RefusedError{Reason: "empty"}
	case len(secret) > longest:
		return &shadowsync.RefusedError{Reason: fmt.Sprintf("longer than %d bytes", longest)}
	case bytes.IndexByte(secret, 0) >= 0:
		return &shadowsync.RefusedError{Reason: "contains a NUL byte"}
	case l.text && !utf8.Valid(secret):
		return &shadowsync.RefusedError{Reason: "not UTF-8"}
	case l.runes > 0 && utf8.RuneCount(secret) > l.runes:
		return &shadowsync.RefusedError{Reason: fmt.Sprintf("longer than %d characters", l.runes)}
	case l.also != nil:
		return l.also(secret)
	}
	return nil
}
