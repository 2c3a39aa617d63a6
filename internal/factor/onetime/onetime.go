// Package onetime makes and recognises the codes that are good for one use: recovery codes, enrolment
// codes and mailed codes. Each kind has a form of its own, and none has the six digits of an
// authenticator app, so that one prompt takes them all.
//
//	code                       form                                  entropy
//	of an app (package totp)   6 digits                              –
//	mailed                     8 digits                              26 bits
//	recovery                   3 groups of 6 letters                 81 bits
//	enrolment                  5 groups of 4 letters                 90 bits
//
// The letters are those that nobody reads for another one. People may type either case, and
// spaces or dashes anywhere.
//
// Recovery and enrolment codes are kept as a salted SHA-256. A slow hash protects what can be guessed:
// a password has some 20 to 40 bits. To search the 2^81 recovery codes at 10^12 hashes a second, the
// speed of some fifty graphics cards, takes more than 70,000 years. A mailed code has so few bits that
// no hash would hide it: it lives for minutes, and must be kept sealed as a factor's secret is.
//
//	onetime.go  which kind a typed answer is, and new codes
//	hash.go     what is kept of a code, and whether a typed one is the same
package onetime

import (
	"bytes"
	"crypto/rand"
	"slices"
)

// Kind is what a typed answer looks like. Its form alone decides; whether it is right is another
// question.
type Kind int

// The kinds of answers.
const (
	Unknown   Kind = iota
	TOTP           // of an authenticator app
	Mailed         // sent to the address on record
	Recovery       // one of those shown after enrolment
	Enrolment      // printed by a reset
)

// String returns the name of the kind, as it stands in the audit.
func (k Kind) String() string {
	return [...]string{Unknown: "unknown", TOTP: "totp", Mailed: "mailed", Recovery: "recovery", Enrolment: "enrolment"}[k]
}

// RecoveryCodes is how many recovery codes an account has.
const RecoveryCodes = 10

const (
	digits  = "0123456789"
	letters = "abcdefghjkmnpqrstuvwxyz" // without i, l and o
)

// A form is what the codes of a kind consist of.
type form struct {
	kind          Kind
	alphabet      string
	groups, group int // how many groups, of how many characters
}

func (f form) length() int { return f.groups * f.group }

// forms differ in alphabet or length, so that spaces and dashes do not matter.
var forms = []form{
	{TOTP, digits, 1, 6},
	{Mailed, digits, 1, 8},
	{Recovery, letters, 3, 6},
	{Enrolment, letters, 5, 4},
}

// longest is how much may be typed; no code with a dash after each character is longer.
const longest = 64

// Read returns the kind of a typed answer and the code without spaces and dashes, in lower case.
// The code is a copy, for the caller to clear; it is nil where the kind is Unknown.
func Read(typed []byte) (Kind, []byte) {
	if len(typed) > longest {
		return Unknown, nil
	}
	code := make([]byte, 0, longest) // large enough: growing would leave a copy behind
	for _, c := range typed {
		switch {
		case c == ' ' || c == '\t' || c == '-':
		case 'A' <= c && c <= 'Z':
			code = append(code, c+'a'-'A')
		default:
			code = append(code, c)
		}
	}
	for _, f := range forms {
		foreign := func(c byte) bool { return bytes.IndexByte([]byte(f.alphabet), c) < 0 }
		if len(code) == f.length() && !slices.ContainsFunc(code, foreign) {
			return f.kind, code
		}
	}
	clear(code)
	return Unknown, nil
}

// NewRecovery returns a set of recovery codes, as people read them.
func NewRecovery() []string {
	codes := make([]string, RecoveryCodes)
	for i := range codes {
		codes[i] = create(Recovery)
	}
	return codes
}

// NewEnrolment returns an enrolment code, as people read it.
func NewEnrolment() string { return create(Enrolment) }

// NewMailed returns a code to be sent by mail.
func NewMailed() string { return create(Mailed) }

// create returns a random code of a kind, with dashes between its groups.
func create(kind Kind) string {
	f := forms[slices.IndexFunc(forms, func(f form) bool { return f.kind == kind })]
	groups := make([][]byte, f.groups)
	for i := range groups {
		for range f.group {
			groups[i] = append(groups[i], f.alphabet[below(len(f.alphabet))])
		}
	}
	return string(bytes.Join(groups, []byte("-")))
}

// below returns a random number from 0 to n-1, all equally likely; n is at most 256.
func below(n int) int {
	for {
		var b [1]byte
		_, _ = rand.Read(b[:]) // it never fails: see its documentation
		// What is left above the last whole multiple of n would make small numbers likelier.
		if number := int(b[0]); number < 256-256%n {
			return number % n
		}
	}
}
