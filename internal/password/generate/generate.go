// Package generate makes passwords. It stands on the standard library alone, so that programs without C can
// use it.
package generate

import (
	"crypto/rand"
	"encoding/base64"
)

// randomBytes are 192 bits, or 32 characters of an alphabet that needs no quoting in a URL or a shell.
const randomBytes = 24

// Password returns 32 characters of A-Z, a-z, 0-9, "-" and "_". The caller should overwrite them after use.
func Password() []byte {
	var random [randomBytes]byte
	defer clear(random[:])
	rand.Read(random[:]) // never fails: it ends the process if the kernel has no randomness
	return base64.RawURLEncoding.AppendEncode(make([]byte, 0, base64.RawURLEncoding.EncodedLen(randomBytes)), random[:])
}
