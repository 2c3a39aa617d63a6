package scheme

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"hash"
	"strconv"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// pbkdf2Setting is PBKDF2 (RFC 8018) in one application's spelling.
type pbkdf2Setting struct {
	hash       func() hash.Hash
	iterations int
	length     int // of the digest, in bytes
	salt       []byte
	text       bool // the salt is letters and digits
	spell      func(s pbkdf2Setting, digest []byte) string
}

func (s pbkdf2Setting) digest(secret []byte, _ string) ([]byte, error) {
	return pbkdf2.Key(s.hash, string(secret), s.salt, s.iterations, s.length)
}

func (s pbkdf2Setting) encode(digest []byte) string { return s.spell(s, digest) }

func (s pbkdf2Setting) renew() setting {
	n := alike(len(s.salt))
	s.salt = randomBytes(n)
	if s.text {
		s.salt = []byte(randomText(n))
	}
	return s
}

// cost counts the iterations of each block of the digest.
func (s pbkdf2Setting) cost() format.Cost {
	size := s.hash().Size()
	return format.Cost{Rounds: s.iterations * ((s.length + size - 1) / size)}
}

// sound returns the setting of a digest, if a digest of this length and this many iterations make
// sense.
func (s pbkdf2Setting) sound(digest []byte) (setting, []byte, bool) {
	s.length = len(digest)
	return s, digest, s.iterations > 0 && s.iterations <= maxRounds && len(digest) >= minDigest
}

// freshPBKDF2 makes new settings after a pattern, whose salt gives the length.
func freshPBKDF2(pattern pbkdf2Setting) fresh {
	return func(cost int) (setting, error) {
		n, err := within(cost, pattern.iterations, 1000, maxRounds)
		pattern.iterations = n
		return pattern.renew(), err
	}
}

// djangoPBKDF2 is "pbkdf2_sha256$ITERATIONS$SALT$DIGEST"; the salt is used as it stands. 1,000,000
// iterations and 22 characters of salt are Django 5.2's.
func djangoPBKDF2() form {
	const prefix = "pbkdf2_sha256$"
	pattern := pbkdf2Setting{hash: sha256.New, iterations: 1_000_000, length: sha256.Size, salt: make([]byte, 22), text: true}
	pattern.spell = func(s pbkdf2Setting, digest []byte) string {
		return prefix + strconv.Itoa(s.iterations) + "$" + string(s.salt) + "$" + padded.EncodeToString(digest)
	}
	return form{
		limit: limit{text: true},
		parse: func(value string) (setting, []byte, bool) {
			p, ok := pieces(value, prefix, "$", 3)
			if !ok {
				return nil, nil, false
			}
			digest, err := padded.DecodeString(p[2])
			s := pattern
			s.iterations, ok = number(p[0])
			s.salt = []byte(p[1])
			if err != nil || !ok || len(digest) != s.length {
				return nil, nil, false
			}
			return s.sound(digest)
		},
		fresh: freshPBKDF2(pattern),
	}
}
