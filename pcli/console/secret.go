package console

import (
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// secret collects a password in memory that never moves.
type secret struct {
	bytes []byte
	long  bool
}

func newSecret(limit int) *secret { return &secret{bytes: locked(limit)} }

// locked makes an empty buffer that does not go to swap, where RLIMIT_MEMLOCK lets us. It is kept short and
// few, and Go's heap does not move, so nothing needs to be unlocked.
func locked(size int) []byte {
	buffer := make([]byte, size)
	_ = unix.Mlock(buffer)
	return buffer[:0]
}

// add takes a byte; beyond the limit there is nothing to be had but an error.
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

// backspace takes the last character away, all bytes of it.
func (s *secret) backspace() {
	n := len(s.bytes)
	if n == 0 {
		return
	}
	_, size := utf8.DecodeLastRune(s.bytes)
	clear(s.bytes[n-size:])
	s.bytes = s.bytes[:n-size]
}

// result hands the bytes over; on an error they are gone.
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

// ReadSecret takes bytes as they are, for an old password may be in any encoding. Of the editing
// keys it knows those of a terminal's own line discipline.
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
