package scheme

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"
	"unicode/utf16"

	"golang.org/x/crypto/md4"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// plain is a setting without cost and salt: one function of the clear text.
type plain struct {
	sum   func(secret []byte) []byte
	spell func(digest []byte) string
}

func (s plain) digest(secret []byte, _ string) ([]byte, error) { return s.sum(secret), nil }
func (s plain) encode(digest []byte) string                    { return s.spell(digest) }
func (s plain) renew() setting                                 { return s }
func (plain) cost() format.Cost                                { return format.Cost{} }

// saltedSetting is one hash over the clear text and then the salt.
type saltedSetting struct {
	hash  func() hash.Hash
	salt  []byte
	size  func(n int) int // the length of a new salt in place of one of length n
	spell func(salt, digest []byte) string
}

func (s saltedSetting) digest(secret []byte, _ string) ([]byte, error) {
	h := s.hash()
	h.Write(secret)
	h.Write(s.salt)
	return h.Sum(nil), nil
}

func (s saltedSetting) encode(digest []byte) string { return s.spell(s.salt, digest) }
func (saltedSetting) cost() format.Cost             { return format.Cost{} }

func (s saltedSetting) renew() setting {
	s.salt = randomBytes(s.size(len(s.salt)))
	return s
}

// costless is the fresh setting of a form that has no cost.
func costless(s setting) fresh {
	return func(cost int) (setting, error) {
		if cost != 0 {
			return nil, errNoCost
		}
		return s.renew(), nil
	}
}

// ldap is the form "{NAME}BASE64" of RFC 2307's successors: the digest and then the salt, at most of longest bytes. The
// name may have either case.
func ldap(name string, hash func() hash.Hash, longest int) form {
	pattern := saltedSetting{hash: hash, salt: make([]byte, defaultSalt), size: alike}
	pattern.spell = func(salt, digest []byte) string {
		return name + padded.EncodeToString(append(digest[:len(digest):len(digest)], salt...))
	}
	return form{
		parse: func(value string) (setting, []byte, bool) {
			rest, ok := cutFold(value, name)
			if !ok {
				return nil, nil, false
			}
			both, whole := decode(padded, rest)
			size := hash().Size()
			if !whole || len(both) < size || len(both) > size+longest {
				return nil, nil, false
			}
			s := pattern
			s.salt = both[size:]
			return s, both[:size], true
		},
		fresh: costless(pattern),
	}
}

// cutFold removes a prefix whose letters may have either case.
func cutFold(value, prefix string) (string, bool) {
	if len(value) < len(prefix) || !strings.EqualFold(value[:len(prefix)], prefix) {
		return "", false
	}
	return value[len(prefix):], true
}

// ldapDigests are the salted and unsalted digests of slapd and dovecot. Only salted ones are made.
func ldapDigests() (ssha, ssha512 form, old []form) {
	ssha, ssha512 = ldap("{SSHA}", sha1.New, maxSalt), ldap("{SSHA512}", sha512.New, maxSalt)
	old = []form{
		readOnly(ldap("{SSHA256}", sha256.New, maxSalt)), readOnly(ldap("{SHA}", sha1.New, 0)),
		readOnly(ldap("{SHA256}", sha256.New, 0)), readOnly(ldap("{SHA512}", sha512.New, 0)),
	}
	return ssha, ssha512, old
}

// mosquittoSalt: mosquitto 2.0 makes and reads salts of 12 bytes, 2.1 makes 64 and reads both.
func mosquittoSalt(n int) int {
	if n != maxSalt {
		return 12
	}
	return n
}

// mosquittoSHA512 is "$6$SALT$DIGEST", which is not crypt(3)'s "$6$".
func mosquittoSHA512() form {
	pattern := saltedSetting{hash: sha512.New, size: mosquittoSalt}
	pattern.spell = func(salt, digest []byte) string {
		return "$6$" + padded.EncodeToString(salt) + "$" + padded.EncodeToString(digest)
	}
	return form{
		parse: func(value string) (setting, []byte, bool) {
			p, ok := pieces(value, "$6$", 2)
			if !ok {
				return nil, nil, false
			}
			salt, wholeSalt := decode(padded, p[0])
			digest, wholeDigest := decode(padded, p[1])
			s := pattern
			s.salt = salt
			return s, digest, wholeSalt && wholeDigest && len(salt) <= maxSalt && len(digest) == sha512.Size
		},
		fresh: costless(pattern),
	}
}

// mysqlNative is "*" and SHA1(SHA1(password)) in upper-case hex: mysql_native_password.
func mysqlNative() form {
	s := plain{
		sum: func(secret []byte) []byte {
			once := sha1.Sum(secret)
			twice := sha1.Sum(once[:])
			return twice[:]
		},
		spell: func(digest []byte) string { return "*" + strings.ToUpper(hex.EncodeToString(digest)) },
	}
	return form{
		parse: func(value string) (setting, []byte, bool) {
			digits, ok := strings.CutPrefix(value, "*")
			digest, err := hex.DecodeString(digits)
			return s, digest, ok && err == nil && len(digest) == sha1.Size
		},
		fresh: costless(s),
	}
}

// nt is MD4 over UTF-16LE, in hex; the case of a present value is kept. Samba writes upper case.
func nt() form {
	upper := plain{sum: ntHash, spell: func(digest []byte) string { return strings.ToUpper(hex.EncodeToString(digest)) }}
	lower := plain{sum: ntHash, spell: hex.EncodeToString}
	return form{
		limit: limit{text: true},
		parse: func(value string) (setting, []byte, bool) {
			digest, err := hex.DecodeString(value)
			s := upper
			if value == strings.ToLower(value) && value != strings.ToUpper(value) {
				s = lower
			}
			return s, digest, err == nil && len(digest) == md4.Size
		},
		fresh: costless(upper),
	}
}

func ntHash(secret []byte) []byte {
	h := md4.New()
	for _, unit := range utf16.Encode([]rune(string(secret))) {
		h.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	return h.Sum(nil)
}
