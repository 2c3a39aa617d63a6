package console

import (
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// secret collects a password in memory that does not move.
type secret struct {
	bytes []byte
	long  bool
}

func newSecret(limit int) *secret { return &secret{bytes: locked(limit)} }

// locked returns an empty buffer that is not swapped, if RLIMIT_MEMLOCK allows that. The buffers
// are few and short, and Go's heap does not move, so they are never unlocked.
func locked(size int) []byte {
	buffer := make([]byte, size)
	_ = unix.Mlock(buffer)
	return buffer[:0]
}

// add appends a byte. Beyond the limit it only notes the error.
func (s *secret) add(b byte) {
	if len(s.bytes) == cap(s.bytes) {
		s.long = true
		return
	}
	s.bytes = append(s.bytes, b)
}

func (s *secret) wipe() {
	clear(s.bytes[:cap(s.bytes)])
	s.bytes, s.long = s.bytes[:0], false
}

// backspace removes the last character with all its bytes.
func (s *secret) backspace() {
	n := len(s.bytes)
	if n == 0 {
		return
	}
	_, size := utf8.DecodeLastRune(s.bytes)
	clear(s.bytes[n-size:])
	s.bytes = s.bytes[:n-size]
}

// result returns the bytes, or wipes them after an error.
func (s *secret) result(err error) ([]byte, error) {
	if err == nil && s.long {
		err = ErrLongSecret
	}
	if err != nil {
		s.wipe()
		return nil, err
	}
	return s.bytes, nil
}

// ReadSecret takes bytes unchanged, because an old password may have any encoding. It supports the
// editing keys of a terminal's own line discipline.
func (s *screen) ReadSecret(prompt string, limit int) ([]byte, error) {
	_, _ = s.Write([]byte(prompt))
	defer func() { _, _ = s.Write([]byte("\n")) }()
	secret := newSecret(limit)
	for {
		b, err := s.source.next()
		if err != nil {
			s.discard()
			return secret.result(err)
		}
		newline := b == '\n' && s.keys.afterReturn
		s.keys.afterReturn = b == '\r'
		switch {
		case newline:
		case b == '\r' || b == '\n':
			return secret.result(nil)
		case b == keyInterrupt || b == keyTop || b == keyEnd && len(secret.bytes) == 0:
			return secret.result(ErrInterrupted)
		case b == keyBackspace || b == keyDelete:
			secret.backspace()
		case b == keyKill || b == keyWord:
			secret.wipe()
		case b == keyEscape:
			if _, err := s.source.sequence(); err != nil {
				return secret.result(err)
			}
		case b >= ' ' || b == keyTab:
			secret.add(b)
		}
	}
}
