package scheme

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
)

// The shortest and longest salts that Make copies the length of; others get defaultSalt.
const (
	minSalt     = 8
	maxSalt     = 64
	defaultSalt = 16
)

// minDigest is the length in bytes of the shortest digest that proves anything. Without it a value
// with an empty digest would fit every clear text.
const minDigest = 16

// alike returns the length for a new salt in place of one of length n.
func alike(n int) int {
	if n < minSalt || n > maxSalt {
		return defaultSalt
	}
	return n
}

// randomBytes returns n bytes from the kernel.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: Go ends the process if the kernel has no randomness
	return b
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// randomText returns n random letters and digits, each as likely as any other.
func randomText(n int) string {
	s := make([]byte, 0, n)
	for len(s) < n {
		for _, b := range randomBytes(2 * n) {
			if b &= 63; int(b) < len(alphanumeric) && len(s) < n {
				s = append(s, alphanumeric[b])
			}
		}
	}
	return string(s)
}

// The encodings of base 64 in use; decode reads them.
var (
	padded   = base64.StdEncoding.Strict()
	unpadded = base64.RawStdEncoding.Strict()
	ab64     = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").WithPadding(base64.NoPadding).Strict() // passlib's "adapted" one
)

// decode reads the one spelling of some bytes. Even Go's strict decoders skip line ends, and applications do not.
func decode(encoding *base64.Encoding, s string) ([]byte, bool) {
	b, err := encoding.DecodeString(s)
	return b, err == nil && encoding.EncodedLen(len(b)) == len(s)
}

// lowerHex is decode for hex: applications compare it as text.
func lowerHex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil && s == strings.ToLower(s)
}

// number reads a decimal number without a sign or leading zeros.
func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == s
}

// numbers reads n numbers between dollar signs.
func numbers(s string, n int) ([]int, bool) {
	p := strings.Split(s, "$")
	if len(p) != n {
		return nil, false
	}
	read := make([]int, n)
	for i := range p {
		var ok bool
		if read[i], ok = number(p[i]); !ok {
			return nil, false
		}
	}
	return read, true
}

// pieces cuts a value after its prefix into n pieces between dollar signs.
func pieces(value, prefix string, n int) ([]string, bool) {
	rest, ok := strings.CutPrefix(value, prefix)
	if !ok {
		return nil, false
	}
	p := strings.Split(rest, "$")
	return p, len(p) == n
}
