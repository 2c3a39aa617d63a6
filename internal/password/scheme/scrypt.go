package scheme

import (
	"fmt"
	"math/bits"

	"golang.org/x/crypto/scrypt"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// scryptSetting is scrypt (RFC 7914). Its cost in a configuration is the logarithm of n.
type scryptSetting struct {
	n, r, p int
	length  int // of the digest, in bytes
	salt    []byte
	text    bool // the salt is letters and digits
	spell   func(s scryptSetting, digest []byte) string
}

func (s scryptSetting) digest(secret []byte, _ string) ([]byte, error) {
	return scrypt.Key(secret, s.salt, s.n, s.r, s.p, s.length)
}

func (s scryptSetting) encode(digest []byte) string { return s.spell(s, digest) }

func (s scryptSetting) renew() setting {
	n := alike(len(s.salt))
	s.salt = randomBytes(n)
	if s.text {
		s.salt = []byte(randomText(n))
	}
	return s
}

func (s scryptSetting) cost() format.Cost {
	block, lanes := 128*float64(s.r), float64(s.p)
	return format.Cost{Memory: float64(s.n)*block + lanes*block, Work: float64(s.n) * block * lanes}
}

func (s scryptSetting) withSalt(salt []byte) scryptSetting {
	s.salt = salt
	return s
}

// sound returns the setting of a digest, if its parameters are possible. The bounds keep the
// library from overflowing; cost keeps it from working long.
func (s scryptSetting) sound(digest []byte) (setting, []byte, bool) {
	s.length = len(digest)
	ok := s.n > 1 && s.n <= 1<<30 && bits.OnesCount(uint(s.n)) == 1 &&
		s.r >= 1 && s.r <= 1<<10 && s.p >= 1 && s.p <= 1<<10 && len(digest) >= minDigest
	return s, digest, ok
}

// freshScrypt makes new settings after a pattern.
func freshScrypt(pattern scryptSetting) fresh {
	return func(cost int) (setting, error) {
		log2, err := within(cost, bits.Len(uint(pattern.n))-1, 10, 17)
		s := pattern
		s.n = 1 << log2
		return s.renew(), err
	}
}

// passlibScrypt is "$scrypt$ln=16,r=8,p=1$SALT$DIGEST", passlib's form of the PHC string format.
func passlibScrypt() form {
	pattern := scryptSetting{n: 1 << 16, r: 8, p: 1, length: 32, salt: make([]byte, 16)}
	pattern.spell = func(s scryptSetting, digest []byte) string {
		return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d$%s$%s", bits.Len(uint(s.n))-1, s.r, s.p,
			unpadded.EncodeToString(s.salt), unpadded.EncodeToString(digest))
	}
	return form{
		limit: limit{text: true},
		parse: func(value string) (setting, []byte, bool) {
			p, ok := pieces(value, "$scrypt$", 3)
			if !ok {
				return nil, nil, false
			}
			s := pattern
			log2, r, lanes, ok := parameters(p[0], "ln=", "r=", "p=")
			salt, wholeSalt := decode(unpadded, p[1])
			digest, wholeDigest := decode(unpadded, p[2])
			if !ok || log2 > 30 || !wholeSalt || !wholeDigest {
				return nil, nil, false
			}
			s.n, s.r, s.p, s.salt = 1<<log2, r, lanes, salt
			return s.sound(digest)
		},
		fresh: freshScrypt(pattern),
	}
}

// djangoScrypt is "scrypt$N$SALT$R$P$DIGEST"; the salt is used as it stands.
func djangoScrypt() form {
	pattern := scryptSetting{n: 1 << 14, r: 8, p: 5, length: 64, salt: make([]byte, 22), text: true}
	pattern.spell = func(s scryptSetting, digest []byte) string {
		return fmt.Sprintf("scrypt$%d$%s$%d$%d$%s", s.n, s.salt, s.r, s.p, padded.EncodeToString(digest))
	}
	return form{
		limit: limit{text: true},
		parse: func(value string) (setting, []byte, bool) {
			p, ok := pieces(value, "scrypt$", 5)
			if !ok {
				return nil, nil, false
			}
			n, ok := numbers(p[0]+"$"+p[2]+"$"+p[3], 3)
			digest, whole := decode(padded, p[4])
			if !ok || !whole {
				return nil, nil, false
			}
			s := pattern
			s.n, s.r, s.p, s.salt = n[0], n[1], n[2], []byte(p[1])
			return s.sound(digest)
		},
		fresh: freshScrypt(pattern),
	}
}
