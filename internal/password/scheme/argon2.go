package scheme

import (
	"fmt"
	"math"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// The variants of RFC 9106 that applications use.
const (
	argon2id = "$argon2id$"
	argon2i  = "$argon2i$"
)

// argon2Setting is argon2 of version 19 (RFC 9106). Its cost in a configuration is the number of
// passes.
type argon2Setting struct {
	variant string
	memory  int // in KiB
	passes  int
	lanes   int
	length  int // of the digest, in bytes
	salt    []byte
	spell   func(s argon2Setting, digest []byte) string
}

func (s argon2Setting) digest(secret []byte, _ string) ([]byte, error) {
	key := argon2.IDKey
	if s.variant == argon2i {
		key = argon2.Key
	}
	return key(secret, s.salt, uint32(s.passes), uint32(s.memory), uint8(s.lanes), uint32(s.length)), nil
}

func (s argon2Setting) encode(digest []byte) string { return s.spell(s, digest) }

func (s argon2Setting) renew() setting {
	s.salt = randomBytes(alike(len(s.salt)))
	return s
}

func (s argon2Setting) cost() format.Cost {
	memory := float64(s.memory) * 1024
	return format.Cost{Memory: memory, Work: memory * float64(s.passes)}
}

func (s argon2Setting) withSalt(salt []byte) argon2Setting {
	s.salt = salt
	return s
}

// sound returns the setting of a digest, if RFC 9106 allows its parameters.
func (s argon2Setting) sound(digest []byte) (setting, []byte, bool) {
	s.length = len(digest)
	ok := s.passes >= 1 && s.passes <= maxRounds && s.lanes >= 1 && s.lanes <= math.MaxUint8 &&
		s.memory >= 8*s.lanes && s.memory <= math.MaxInt32 && len(digest) >= minDigest
	return s, digest, ok
}

// phc is the form of the PHC string format, with the parameters in the order of libargon2, which
// reads no other. pattern is that of new values.
func phc(pattern argon2Setting) form {
	pattern.spell = func(s argon2Setting, digest []byte) string {
		return fmt.Sprintf("%sv=19$m=%d,t=%d,p=%d$%s$%s", s.variant, s.memory, s.passes, s.lanes,
			unpadded.EncodeToString(s.salt), unpadded.EncodeToString(digest))
	}
	return form{
		limit: limit{text: true},
		parse: func(value string) (setting, []byte, bool) {
			p, ok := pieces(value, pattern.variant+"v=19$", 3)
			if !ok {
				return nil, nil, false
			}
			s := pattern
			s.memory, s.passes, s.lanes, ok = parameters(p[0], "m=", "t=", "p=")
			salt, wholeSalt := decode(unpadded, p[1])
			digest, wholeDigest := decode(unpadded, p[2])
			if !ok || !wholeSalt || !wholeDigest {
				return nil, nil, false
			}
			s.salt = salt
			return s.sound(digest)
		},
		fresh: func(cost int) (setting, error) {
			passes, err := within(cost, pattern.passes, 1, maxWork/1024/pattern.memory)
			s := pattern
			s.passes = passes
			return s.renew(), err
		},
	}
}

// parameters reads three numbers after their names, between commas.
func parameters(s, first, second, third string) (a, b, c int, ok bool) {
	p := strings.Split(s, ",")
	if len(p) != 3 {
		return 0, 0, 0, false
	}
	var n [3]int
	for i, name := range []string{first, second, third} {
		digits, named := strings.CutPrefix(p[i], name)
		if n[i], ok = number(digits); !ok || !named {
			return 0, 0, 0, false
		}
	}
	return n[0], n[1], n[2], true
}

// usualArgon2 is RFC 9106's second recommendation, for little memory.
func usualArgon2() form {
	return phc(argon2Setting{variant: argon2id, memory: 64 << 10, passes: 3, lanes: 4, length: 32, salt: make([]byte, 16)})
}

// phpArgon2 has the defaults of PHP's password_hash.
func phpArgon2(variant string) form {
	return phc(argon2Setting{variant: variant, memory: 64 << 10, passes: 4, lanes: 1, length: 32, salt: make([]byte, 16)})
}
