package scheme

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
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
	text       bool            // the salt is letters and digits
	size       func(n int) int // the length of a new salt in place of one of length n; nil: alike
	spell      func(s pbkdf2Setting, digest []byte) string
}

func (s pbkdf2Setting) digest(secret []byte, _ string) ([]byte, error) {
	return pbkdf2.Key(s.hash, string(secret), s.salt, s.iterations, s.length)
}

func (s pbkdf2Setting) encode(digest []byte) string { return s.spell(s, digest) }

func (s pbkdf2Setting) renew() setting {
	n := alike(len(s.salt))
	if s.size != nil {
		n = s.size(len(s.salt))
	}
	s.salt = randomBytes(n)
	if s.text {
		s.salt = []byte(randomText(n))
	}
	return s
}

// blocks is how often the iterations are computed: once for each part of the digest that is as long
// as the hash.
func (s pbkdf2Setting) blocks() int {
	size := s.hash().Size()
	return (s.length + size - 1) / size
}

func (s pbkdf2Setting) cost() format.Cost { return format.Cost{Rounds: s.iterations * s.blocks()} }

func (s pbkdf2Setting) withSalt(salt []byte) pbkdf2Setting {
	s.salt = salt
	return s
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
		n, err := within(cost, pattern.iterations, 1000, maxRounds/pattern.blocks())
		s := pattern
		s.iterations = n
		return s.renew(), err
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
			p, ok := pieces(value, prefix, 3)
			if !ok {
				return nil, nil, false
			}
			digest, whole := decode(padded, p[2])
			s := pattern
			s.iterations, ok = number(p[0])
			s.salt = []byte(p[1])
			if !whole || !ok || len(digest) != s.length {
				return nil, nil, false
			}
			return s.sound(digest)
		},
		fresh: freshPBKDF2(pattern),
	}
}

// passlibPBKDF2 is "$pbkdf2-sha256$ITERATIONS$SALT$DIGEST". The usual iterations are those of
// OWASP's Password Storage Cheat Sheet; passlib 1.7.4 makes 29,000 and 25,000.
func passlibPBKDF2(name string, hash func() hash.Hash, usual int) form {
	prefix := "$pbkdf2-" + name + "$"
	pattern := pbkdf2Setting{hash: hash, iterations: usual, length: hash().Size(), salt: make([]byte, 16)}
	pattern.spell = func(s pbkdf2Setting, digest []byte) string {
		return prefix + strconv.Itoa(s.iterations) + "$" + ab64.EncodeToString(s.salt) + "$" + ab64.EncodeToString(digest)
	}
	return form{
		limit: limit{text: true},
		parse: func(value string) (setting, []byte, bool) { return parsePBKDF2(value, prefix, pattern, ab64) },
		fresh: freshPBKDF2(pattern),
	}
}

// mosquittoPBKDF2 is "$7$ITERATIONS$SALT$DIGEST", which is not crypt(3)'s "$7$". The broker computes
// it at each connection, and handles nobody else meanwhile: hence few iterations. mosquitto 2.0
// makes 101.
func mosquittoPBKDF2() form {
	pattern := pbkdf2Setting{hash: sha512.New, iterations: 10_000, length: sha512.Size, size: mosquittoSalt}
	pattern.spell = func(s pbkdf2Setting, digest []byte) string {
		return "$7$" + strconv.Itoa(s.iterations) + "$" + padded.EncodeToString(s.salt) + "$" + padded.EncodeToString(digest)
	}
	return form{
		parse: func(value string) (setting, []byte, bool) { return parsePBKDF2(value, "$7$", pattern, padded) },
		fresh: freshPBKDF2(pattern),
	}
}

// parsePBKDF2 reads iterations, salt and digest after a prefix, between dollar signs.
func parsePBKDF2(value, prefix string, pattern pbkdf2Setting, encoding *base64.Encoding) (setting, []byte, bool) {
	p, ok := pieces(value, prefix, 3)
	if !ok {
		return nil, nil, false
	}
	n, ok := number(p[0])
	salt, wholeSalt := decode(encoding, p[1])
	digest, wholeDigest := decode(encoding, p[2])
	if !ok || !wholeSalt || !wholeDigest || len(digest) != pattern.length {
		return nil, nil, false
	}
	pattern.iterations, pattern.salt = n, salt
	return pattern.sound(digest)
}

// grafana keeps the salt, used as it stands, and 50 bytes in hex in two columns. The iterations are
// fixed.
func grafana() form {
	pattern := pbkdf2Setting{hash: sha256.New, iterations: 10_000, length: 50, salt: make([]byte, 10), text: true}
	pattern.spell = func(s pbkdf2Setting, digest []byte) string { return Join(string(s.salt), hex.EncodeToString(digest)) }
	return form{
		limit: limit{text: true},
		parse: func(value string) (setting, []byte, bool) {
			columns, ok := Split(value, 2)
			if !ok || columns[0] == "" {
				return nil, nil, false
			}
			digest, whole := lowerHex(columns[1])
			if !whole || len(digest) != pattern.length {
				return nil, nil, false
			}
			return pattern.withSalt([]byte(columns[0])).sound(digest)
		},
		fresh: costless(pattern),
	}
}

func sha256Hex(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return []byte(hex.EncodeToString(sum[:]))
}
