package format

import (
	"errors"
	"fmt"
	"slices"
)

// Reasons why the OS cannot get a well-formed hash of a credential store.
var (
	ErrTooWeak = errors.New("hash format too weak")
	ErrNotOS   = errors.New("hash format unusable for the OS")
)

// CheckForeign decides whether a hash from a credential store may become an OS password. It must be
// one line of crypt(5) characters, complete, within ForeignLimits, and of a format that both the OS
// and shadowsync can verify. Otherwise the error tells people what is wrong; it wraps ErrNotHash,
// ErrUnknown, ErrMalformed, ErrTooCostly, ErrTooWeak or ErrNotOS.
//
// It accepts a weak format only if that is among the allowed ones. (DES ignores all but eight
// characters of a password, and any clear text of thirteen letters looks like a DES hash.)
func CheckForeign(hash string, allowed ...Format) error {
	h, err := Parse(hash)
	if err != nil {
		return err
	}
	switch {
	case !h.Format.traits().os:
		return fmt.Errorf("%w: crypt(3) does not know %s", ErrNotOS, h.Format)
	case !h.Format.CanVerify():
		return fmt.Errorf("%w: shadowsync cannot verify %s", ErrNotOS, h.Format)
	case h.Format.Weak() && !slices.Contains(allowed, h.Format):
		return fmt.Errorf("%w: %s", ErrTooWeak, h.Format)
	}
	return h.Cost.Within(ForeignLimits)
}
