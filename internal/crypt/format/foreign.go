package format

import (
	"errors"
	"fmt"
)

// Reasons why a well-formed hash of a credential store does not reach the OS.
var (
	ErrTooWeak = errors.New("hash format too weak")
	ErrNotOS   = errors.New("hash format unusable for the OS")
)

// CheckForeign decides whether a hash that comes from a credential store may
// become an OS password. It must be one line of crypt(5) characters, of a format
// that both the OS and shadowsync can verify, complete, and within
// ForeignLimits. Else the error says for people what is wrong; it wraps
// ErrNotHash, ErrUnknown, ErrMalformed, ErrTooCostly, ErrTooWeak or ErrNotOS.
//
// Of the old formats md5crypt passes, since appliances still write it. DES does
// not: it ignores all but eight characters of a password, and any clear text of
// thirteen letters looks like one.
func CheckForeign(hash string) error {
	h, err := Parse(hash)
	if err != nil {
		return err
	}
	switch {
	case h.Format == DES:
		return fmt.Errorf("%w: %s", ErrTooWeak, h.Format)
	case !h.Format.traits().os:
		return fmt.Errorf("%w: crypt(3) does not know %s", ErrNotOS, h.Format)
	case !h.Format.CanVerify():
		return fmt.Errorf("%w: shadowsync cannot verify %s", ErrNotOS, h.Format)
	}
	return h.Cost.Within(ForeignLimits)
}
