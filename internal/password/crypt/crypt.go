// Package crypt verifies and generates crypt(3) password hashes.
//
// It promises:
//
//   - No hash makes it panic, and no hash makes it work beyond [format.OwnLimits].
//   - A hash of an unknown format is an error. It is never a mismatch and never replaced.
//   - It never holds a clear text in a Go string, which could not be wiped. The caller wipes its
//     own copy of the token.
//
// The library github.com/GehirnInc/crypt computes apr1 and the SHA formats. It does not wipe the
// buffers of its hash functions, so call this package from a process that ends soon after.
// libxcrypt computes the other formats through cgo and leaves nothing behind.
//
// The files:
//
//	crypt.go      Verify, Generate and Method
//	hashers.go    which code computes which format
//	libxcrypt.go  the cgo part
//	logindefs.go  the method that /etc/login.defs asks for
//	pamunix.go    the method and rounds of pam_unix(8)
package crypt

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// MaxToken is the length in bytes of the longest token. crypt(3) refuses longer ones
// (CRYPT_MAX_PASSPHRASE_SIZE of crypt.h, less the terminating NUL), so the OS could not verify
// them.
const MaxToken = 511

// maxBcryptToken is how many bytes of a token bcrypt reads.
const maxBcryptToken = 72

// What can be wrong with a token, or with the request.
var (
	ErrTokenTooLong = errors.New("password too long")
	ErrTokenEmpty   = errors.New("password empty")
	ErrTokenNUL     = errors.New("password contains a NUL byte")
	ErrUnverifiable = errors.New("hash format that shadowsync cannot verify")
	ErrNotGenerated = errors.New("hash format that shadowsync does not generate")
	ErrCost         = errors.New("hashing cost out of range")
)

// Verify reports whether token is the password behind hash. An error means that the question is
// open: hash is not a whole hash of a format that CanVerify, costs more than format.OwnLimits, or
// token is too long or contains a NUL.
//
// Pass a hash of a credential store to format.CheckForeign first, whose limits are tighter.
func Verify(hash string, token []byte) (bool, error) {
	h, err := format.Parse(hash)
	if err == nil {
		err = h.Cost.Within(format.OwnLimits)
	}
	if err == nil {
		err = checkToken(token)
	}
	if err != nil {
		return false, fmt.Errorf("cannot verify a password: %w", err)
	}
	hasher, ok := hashers[h.Format]
	if !ok {
		return false, fmt.Errorf("cannot verify a password: %w: %s", ErrUnverifiable, h.Format)
	}
	// Do not use the Verify of a crypt.Crypter: with "rounds=" and a short salt GehirnInc's takes
	// the checksum for a part of the salt.
	computed, err := hasher.Generate(token, []byte(h.Setting))
	if err != nil {
		return false, fmt.Errorf("cannot verify a password against %s: %w", h.Format, err)
	}
	return subtle.ConstantTimeCompare([]byte(computed), []byte(hash)) == 1, nil
}

// Compute returns the hash of token with a setting of format.Hash, so with a salt and a cost that the
// caller chose within its own limits.
func Compute(setting string, token []byte) (string, error) {
	f := format.OfSetting(setting)
	hasher, ok := hashers[f]
	if !ok {
		return "", fmt.Errorf("cannot hash a password: %w", ErrUnverifiable)
	}
	if err := checkToken(token); err != nil {
		return "", fmt.Errorf("cannot hash a password with %s: %w", f, err)
	}
	hash, err := hasher.Generate(token, []byte(setting))
	if err != nil {
		return "", fmt.Errorf("cannot hash a password with %s: %w", f, err)
	}
	return hash, nil
}

// Method is a way to make new hashes: a format and its cost. Cost is the number of rounds of SHA256
// and SHA512 (1000 to 10,000,000), the logarithm of the rounds of bcrypt (4 to 17), and the cost
// factor of crypt_gensalt(3) for yescrypt and gost-yescrypt (1 to 11) and scrypt (6 to 11); the
// other formats have none. 0 means the default: 5000 rounds, 13 for bcrypt as in login.defs(5), and
// libxcrypt's default for the rest.
type Method struct {
	Format format.Format
	Cost   int
}

// bcryptCost is the default of login.defs(5). That of libxcrypt, 5, takes only 2 ms.
const bcryptCost = 13

// Longest is the length in bytes of the longest token from which Generate makes a hash of the
// format.
func Longest(f format.Format) int {
	if f == format.Bcrypt {
		return maxBcryptToken
	}
	return MaxToken
}

// Generate returns a new hash of token at the default cost of the format.
func Generate(f format.Format, token []byte) (string, error) {
	return Method{Format: f}.Generate(token)
}

// Generate returns a new hash of token, with a fresh salt from the kernel. It refuses an empty
// token, and for bcrypt a token above 72 bytes, because bcrypt ignores the rest.
func (m Method) Generate(token []byte) (string, error) {
	hash, err := m.generate(token)
	if err != nil {
		return "", fmt.Errorf("cannot hash a password with %s: %w", m.Format, err)
	}
	return hash, nil
}

func (m Method) generate(token []byte) (string, error) {
	if err := checkToken(token); err != nil {
		return "", err
	}
	if len(token) == 0 {
		return "", ErrTokenEmpty
	}
	if longest := Longest(m.Format); len(token) > longest {
		return "", fmt.Errorf("%w: %d bytes, %s takes %d", ErrTokenTooLong, len(token), m.Format, longest)
	}
	setting, err := m.setting()
	if err != nil {
		return "", err
	}
	return hashers[m.Format].Generate(token, setting)
}

// hashesOfPAM is how many hashes pam_unix(8) computes to check one password, right or wrong (seen with 1.5.2).
const hashesOfPAM = 2

// LikeLogin takes the time that pam_unix(8) takes to check a password.
func (m Method) LikeLogin() (err error) {
	for range hashesOfPAM {
		if err == nil {
			_, err = m.Generate([]byte("nobody's"))
		}
	}
	return err
}

// Price is the cost to make a hash once, and to verify it; zero if that is unknown.
func (m Method) Price() format.Cost {
	setting, err := m.setting()
	if err != nil {
		return format.Cost{}
	}
	return format.CostOf(m.Format, string(setting))
}

// NewSetting returns a setting for Compute, with a fresh salt.
func (m Method) NewSetting() (string, error) {
	setting, err := m.setting()
	if err != nil {
		return "", fmt.Errorf("cannot hash a password with %s: %w", m.Format, err)
	}
	return string(setting), nil
}

// setting returns a new setting for crypt(3): prefix, cost and a fresh salt.
func (m Method) setting() ([]byte, error) {
	if !m.Format.CanGenerate() {
		return nil, ErrNotGenerated
	}
	lowest, highest := costRange(m.Format)
	if m.Cost != 0 && (m.Cost < lowest || m.Cost > highest) {
		return nil, fmt.Errorf("%w: %d, possible are %d to %d", ErrCost, m.Cost, lowest, highest)
	}
	prefix := m.Format.Prefix()
	switch m.Format {
	case format.SHA256, format.SHA512:
		if m.Cost != 0 {
			prefix += fmt.Sprintf("rounds=%d$", m.Cost)
		}
		return append([]byte(prefix), salt(16)...), nil
	case format.MD5, format.APR1:
		return append([]byte(prefix), salt(8)...), nil
	case format.Bcrypt:
		return gensalt(prefix, cmp.Or(m.Cost, bcryptCost))
	}
	return gensalt(prefix, m.Cost)
}

// costRange returns the lowest and highest cost of a format, in the units of Method.
func costRange(f format.Format) (lowest, highest int) {
	switch f {
	case format.SHA256, format.SHA512:
		return 1000, format.OwnLimits.Rounds
	case format.Bcrypt:
		return 4, format.OwnLimits.Log2
	case format.Yescrypt, format.GostYescrypt:
		return 1, 11
	case format.Scrypt:
		return 6, 11
	}
	return 0, 0
}

// checkToken refuses tokens that crypt(3) would cut short, because it takes C strings.
func checkToken(token []byte) error {
	if len(token) > MaxToken {
		return fmt.Errorf("%w: %d bytes, at most %d are possible", ErrTokenTooLong, len(token), MaxToken)
	}
	if bytes.IndexByte(token, 0) >= 0 {
		return ErrTokenNUL
	}
	return nil
}

// salt returns n random characters of crypt(5)'s base 64.
func salt(n int) []byte {
	const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	s := make([]byte, n)
	rand.Read(s) // never fails: Go ends the process if the kernel has no randomness
	for i := range s {
		s[i] = digits[s[i]%64]
	}
	return s
}
