package shadowsync

import "strings"

// Kind is what the password field of shadow(5), or of a store's record, means.
//
//	field          Kind       carried over                   what unlock does
//	$y$...         password   both ways                      nothing: it is not locked
//	!hash, !!hash  password   both ways, as a lock           removes every "!"
//	!, !!          shut       both ways, as a lock           fails: there is no password
//	*, !*          none       both ways, as no password      fails: there is no password
//	empty          open       never                          fails: there is no password
//	x, NP, *NP*    elsewhere  never                          fails: the field is no password
//
// A store can never change a protected account. TestKinds and TestKindsAreCarried check this table.
type Kind string

// The kinds; the texts are those of `user show`.
const (
	KindPassword  Kind = "password"  // a hash, with or without lock marks
	KindShut      Kind = "shut"      // lock marks alone: usermod -p '!', useradd
	KindNone      Kind = "none"      // a marker that no password matches
	KindOpen      Kind = "open"      // no password is asked for: passwd -d
	KindElsewhere Kind = "elsewhere" // the password is kept in another file: pwconv(8), NIS
)

// lockMark is what passwd -l and usermod -L put before the hash. Some tools add one to a field that
// has one already, and Fedora's useradd writes two.
const lockMark = "!"

// ParsePassword splits a password field of shadow(5) into the hash and whether at least one lock
// mark stands before it.
func ParsePassword(field string) (hash string, locked bool) {
	hash = strings.TrimLeft(field, lockMark)
	return hash, hash != field
}

// SamePassword reports whether two fields are equal apart from the number of their lock marks.
func SamePassword(field, other string) bool {
	hash, locked := ParsePassword(field)
	otherHash, otherLocked := ParsePassword(other)
	return hash == otherHash && locked == otherLocked
}

// Password returns the field that holds the credential. It is the inverse of ParsePassword, except
// that one lock mark stands for any number.
func (c Credential) Password() string {
	if c.Locked {
		return lockMark + c.Hash
	}
	return c.Hash
}

// Kind says what the credential's hash and lock mark mean.
func (c Credential) Kind() Kind {
	switch {
	case c.Hash == "" && c.Locked:
		return KindShut
	case c.Hash == "":
		return KindOpen
	case c.Hash == "x", c.Hash == "NP", c.Hash == "*NP*":
		return KindElsewhere
	case strings.HasPrefix(c.Hash, "*"), strings.HasPrefix(c.Hash, lockMark):
		return KindNone
	}
	return KindPassword
}

// isPassword reports whether some password can match the hash.
func (c Credential) isPassword() bool { return c.Kind() == KindPassword }

// worth reports whether a replaced value is worth keeping: a password can be put back, and another
// tool may have set a marker on purpose.
func (c Credential) worth() bool { return c.Kind() == KindPassword || c.Kind() == KindNone }

// worthless says why the store's value is no value for the OS, even of a trusted store.
func worthless(in Input) string {
	if in.Opaque {
		return reasonOpaque
	}
	switch in.Store.Kind() {
	case KindOpen:
		return reasonStoreEmpty
	case KindElsewhere:
		return reasonStoreElsewhere
	}
	return ""
}
