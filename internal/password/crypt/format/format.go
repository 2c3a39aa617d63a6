// Package format recognises password hashes. It names a hash's format, takes the hash apart, and
// decides whether a hash from a credential store may reach the OS. It computes no hash and needs no
// cgo, so that the operator shell may import it; package crypt computes hashes.
//
// The list of formats is closed: every other format is [Unknown], is carried verbatim and never
// verified. Errors of this package never contain a hash, so they may be logged.
//
//	format.go   the formats, Identify and Parse
//	cost.go     what it costs to verify a hash, and the limits
//	foreign.go  CheckForeign, the gate between a credential store and the OS
package format

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Format is a way to hash a password. Its zero value is Unknown.
type Format int

// The formats, strongest first, in the order of crypt(5).
const (
	Unknown Format = iota
	Yescrypt
	GostYescrypt
	Scrypt
	Bcrypt
	SHA512
	SHA256
	SHA1
	SunMD5
	MD5
	APR1
	BSDi
	DES
	NT
)

// Reasons why a string is not a usable hash. They are wrapped: find them with errors.Is.
var (
	ErrNotHash   = errors.New("not a password hash")
	ErrUnknown   = errors.New("unknown hash format")
	ErrMalformed = errors.New("malformed password hash")
)

// MaxLength is the length in bytes of the longest hash that crypt(3) returns:
// CRYPT_OUTPUT_SIZE of crypt.h, less the terminating NUL.
const MaxLength = 383

// traits is one row of the table of formats.
type traits struct {
	name     string   // the name in crypt(5)
	prefixes []string // new hashes have the first one
	checksum int      // length of the last component, in characters
	verify   bool
	generate bool
	os       bool // crypt(3) of the OS knows it
	weak     bool // a clear text can be found by trying: a store's hash reaches the OS only if the configuration allows it
	cost     func(parameters string) (Cost, error)

	// The hashed passphrase format of crypt(5). A group, if the pattern has one, holds the cost
	// parameters.
	pattern func() *regexp.Regexp
}

const (
	base64 = `[./0-9A-Za-z]`

	// The salt of yescrypt is decoded, four characters to three bytes, up to 64 bytes: libxcrypt
	// fails if non-zero bits are left over.
	yescryptSalt = `(?:` + base64 + `{4}){0,20}(?:` +
		base64 + `[./01]|` + base64 + `{2}[./0-9A-D]|` + base64 + `{4}|` + base64 + `{5}[./01])`
)

var table = [...]traits{
	Unknown: {name: "unknown"},
	Yescrypt: {
		name: "yescrypt", prefixes: []string{"$y$"}, checksum: 43, verify: true, generate: true, os: true,
		cost:    yescryptCost,
		pattern: lazy(`\$y\$(` + base64 + `+)\$` + yescryptSalt + `\$` + base64 + `{43}`),
	},
	GostYescrypt: {
		name: "gost-yescrypt", prefixes: []string{"$gy$"}, checksum: 43, verify: true, generate: true, os: true,
		cost:    yescryptCost,
		pattern: lazy(`\$gy\$(` + base64 + `+)\$` + yescryptSalt + `\$` + base64 + `{43}`),
	},
	Scrypt: {
		name: "scrypt", prefixes: []string{"$7$"}, checksum: 43, verify: true, generate: true, os: true,
		cost:    scryptCost,
		pattern: lazy(`\$7\$(` + base64 + `{11})` + base64 + `{1,86}\$` + base64 + `{43}`),
	},
	// $2x$ is left out on purpose: it asks for the sign extension bug of crypt_blowfish 1.0.4,
	// which gives different passwords the same hash.
	Bcrypt: {
		name: "bcrypt", prefixes: []string{"$2b$", "$2y$", "$2a$"}, checksum: 31, verify: true, generate: true, os: true,
		cost:    bcryptCost,
		pattern: lazy(`\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$` + base64 + `{53}`),
	},
	// crypt(5) allows "=" in the salt of the SHA formats, and any character but "$" in that of the
	// MD5 formats. No program makes such salts, and libxcrypt and GehirnInc's library read one that
	// begins with "rounds=" differently.
	SHA512: {
		name: "sha512crypt", prefixes: []string{"$6$"}, checksum: 86, verify: true, generate: true, os: true,
		cost:    shaCost,
		pattern: lazy(`\$6\$(?:rounds=([1-9][0-9]{3,8})\$)?[^$=]{1,16}\$` + base64 + `{86}`),
	},
	SHA256: {
		name: "sha256crypt", prefixes: []string{"$5$"}, checksum: 43, verify: true, generate: true, os: true,
		cost:    shaCost,
		pattern: lazy(`\$5\$(?:rounds=([1-9][0-9]{3,8})\$)?[^$=]{1,16}\$` + base64 + `{43}`),
	},
	SHA1: {
		name: "sha1crypt", prefixes: []string{"$sha1$"}, os: true, weak: true,
		pattern: lazy(`\$sha1\$[1-9][0-9]*\$` + base64 + `{1,64}\$` + base64 + `{28}`),
	},
	SunMD5: {
		name: "SunMD5", prefixes: []string{"$md5$", "$md5,"}, os: true, weak: true,
		pattern: lazy(`\$md5(,rounds=[1-9][0-9]+)?\$` + base64 + `{8}\${1,2}` + base64 + `{22}`),
	},
	MD5: {
		name: "md5crypt", prefixes: []string{"$1$"}, checksum: 22, verify: true, generate: true, os: true, weak: true,
		cost:    fixedCost,
		pattern: lazy(`\$1\$` + base64 + `{1,8}\$` + base64 + `{22}`),
	},
	// Apache's own format, as htpasswd writes it: applications use it, but no libcrypt knows it.
	APR1: {
		name: "apr1", prefixes: []string{"$apr1$"}, checksum: 22, verify: true, generate: true, weak: true,
		cost:    fixedCost,
		pattern: lazy(`\$apr1\$` + base64 + `{1,8}\$` + base64 + `{22}`),
	},
	BSDi: {
		name: "bsdicrypt", prefixes: []string{"_"}, os: true, weak: true,
		pattern: lazy(`_` + base64 + `{19}`),
	},
	DES: {
		name: "descrypt", prefixes: []string{""}, checksum: 11, verify: true, os: true, weak: true,
		cost:    fixedCost,
		pattern: lazy(base64 + `{13}`),
	},
	NT: {
		name: "NT", prefixes: []string{"$3$"}, os: true, weak: true,
		pattern: lazy(`\$3\$\$[0-9a-f]{32}`),
	},
}

// lazy compiles a pattern at its first use: compiling all of them takes longer than the operator
// shell takes to start.
func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:` + pattern + `)$`)
	})
}

// Formats returns every format but Unknown, strongest first.
func Formats() []Format {
	all := make([]Format, 0, len(table)-1)
	for f := Unknown + 1; int(f) < len(table); f++ {
		all = append(all, f)
	}
	return all
}

// traits returns the row of f, and that of Unknown for a value out of range.
func (f Format) traits() *traits {
	if f < 0 || int(f) >= len(table) {
		f = Unknown
	}
	return &table[f]
}

// String returns the name that crypt(5) gives the format.
func (f Format) String() string { return f.traits().name }

// Prefix returns the beginning of a new hash of this format; it is empty for Unknown and for DES,
// which has none.
func (f Format) Prefix() string {
	if p := f.traits().prefixes; len(p) > 0 {
		return p[0]
	}
	return ""
}

// Prefixes returns every prefix that a hash of this format may have.
func (f Format) Prefixes() []string {
	return slices.DeleteFunc(slices.Clone(f.traits().prefixes), func(prefix string) bool { return prefix == "" })
}

// CanVerify reports whether crypt.Verify can check a password against a hash
// of this format.
func (f Format) CanVerify() bool { return f.traits().verify }

// Weak reports whether a hash of this format no longer protects a password: it is too fast to
// compute, or ignores most of the password.
func (f Format) Weak() bool { return f.traits().weak }

// ForOS reports whether both the OS and crypt.Verify can check a password against such a hash.
func (f Format) ForOS() bool { return f.traits().os && f.traits().verify }

// Named returns the format with this name in crypt(5).
func Named(name string) (Format, bool) {
	i := slices.IndexFunc(Formats(), func(f Format) bool { return f.String() == name })
	if i < 0 {
		return Unknown, false
	}
	return Formats()[i], true
}

// CanGenerate reports whether crypt.Generate makes hashes of this format.
func (f Format) CanGenerate() bool { return f.traits().generate }

// Identify returns the format of a whole, well-formed hash, and Unknown for anything else: an empty
// password field, a lock mark ("!…", "*"), a truncated hash.
func Identify(hash string) Format {
	h, err := Parse(hash)
	if err != nil {
		return Unknown
	}
	return h.Format
}

// OfSetting returns the format of the hashes that a setting makes.
func OfSetting(setting string) Format { return byPrefix(setting) }

// Hash is a password hash taken apart.
type Hash struct {
	Format   Format
	Setting  string // what crypt(3) needs to compute the hash again, without a final "$"
	Checksum string
	Cost     Cost
}

// Parse takes a hash apart. It fails with ErrNotHash for values of a password field that match no
// password, with ErrUnknown for a format that is not in the table, and with ErrMalformed for a
// known prefix with something else behind it. It fills Setting, Checksum and Cost for the formats
// that can be verified.
func Parse(hash string) (Hash, error) {
	if err := checkCharacters(hash); err != nil {
		return Hash{}, err
	}
	f := byPrefix(hash)
	if f == Unknown {
		return Hash{}, ErrUnknown
	}
	t := f.traits()
	groups := t.pattern().FindStringSubmatch(hash)
	if groups == nil {
		return Hash{}, fmt.Errorf("%w: begins like %s and goes on differently", ErrMalformed, f)
	}
	if !t.verify {
		return Hash{Format: f}, nil
	}
	cost, err := t.cost(groups[len(groups)-1])
	if err != nil {
		return Hash{}, fmt.Errorf("%w: %s with %v", ErrMalformed, f, err)
	}
	cut := len(hash) - t.checksum
	return Hash{Format: f, Setting: strings.TrimSuffix(hash[:cut], "$"), Checksum: hash[cut:], Cost: cost}, nil
}

// checkCharacters accepts one line of the characters that crypt(5) allows.
func checkCharacters(hash string) error {
	switch {
	case hash == "":
		return fmt.Errorf("%w: empty", ErrNotHash)
	case hash[0] == '!' || hash[0] == '*':
		return fmt.Errorf("%w: a mark that no password matches", ErrNotHash)
	case len(hash) > MaxLength:
		return fmt.Errorf("%w: %d bytes, at most %d are possible", ErrMalformed, len(hash), MaxLength)
	}
	for i := range len(hash) {
		if c := hash[i]; c <= ' ' || c > '~' || strings.IndexByte(`:;*!\`, c) >= 0 {
			return fmt.Errorf("%w: byte %d is 0x%02x, which crypt(5) does not allow", ErrMalformed, i+1, c)
		}
	}
	return nil
}

// byPrefix returns the only format that a hash with this beginning can have. DES has no prefix:
// there the whole hash must fit.
func byPrefix(hash string) Format {
	for f := range table {
		for _, prefix := range table[f].prefixes {
			if prefix != "" && strings.HasPrefix(hash, prefix) {
				return Format(f)
			}
		}
	}
	if len(hash) == 13 && strings.Trim(hash, digits) == "" {
		return DES
	}
	return Unknown
}
