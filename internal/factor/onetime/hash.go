package onetime

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
)

// saltSize is the length of the salt in bytes. With it, nobody sees from the hashes of two accounts
// or of two sets anything about their codes.
const saltSize = 16

// HashSize is the length of a hash in bytes.
const HashSize = saltSize + sha256.Size

// Hash returns what is kept of a recovery or enrolment code: the salt and the SHA-256 of salt and
// code. It returns nil for codes of another kind, which a hash does not protect.
func Hash(code string) []byte {
	kind, plain := Read([]byte(code))
	defer clear(plain)
	if kind != Recovery && kind != Enrolment {
		return nil
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // it never fails: see its documentation
	return salted(salt, plain)
}

// Matches reports whether typed is the code that hash was made of. It takes the same time for every
// code of the right form. Where hash is no hash, nothing matches.
func Matches(hash, typed []byte) bool {
	_, plain := Read(typed)
	defer clear(plain)
	if len(hash) != HashSize || plain == nil {
		return false
	}
	return subtle.ConstantTimeCompare(salted(hash[:saltSize], plain), hash) == 1
}

// Same reports whether typed is the mailed code that was sent. It takes the same time for every code
// of the right form.
func Same(sent, typed []byte) bool {
	kept, want := Read(sent)
	kind, got := Read(typed)
	defer clear(want)
	defer clear(got)
	return kept == Mailed && kind == Mailed && subtle.ConstantTimeCompare(want, got) == 1
}

func salted(salt, code []byte) []byte {
	input := slices.Concat(salt, code)
	defer clear(input)
	sum := sha256.Sum256(input)
	return slices.Concat(salt, sum[:])
}
