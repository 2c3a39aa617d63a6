// Package scheme makes and verifies what applications keep of a password in a form of their own.
//
// A scheme is chosen by the configuration of a store, never by the beginning of a value: "$7$" is
// scrypt in crypt(5) and PBKDF2 in mosquitto. Crypt(3) verbatim is no scheme; package crypt
// computes it. docs/stores.md lists the schemes, the applications, the limits and the costs.
//
// It promises:
//
//   - No value makes it panic, and no value makes it work beyond the limits in cost.go.
//   - Make returns nothing that Verify does not take apart into the same setting and digest again.
//   - The memory that Make and Verify took is free when they return.
//   - Verify compares digests in constant time.
//   - An error holds no part of a value or of a clear text, so it may be logged.
//
// The libraries below leave copies of the clear text behind, so call Make and Verify from a process
// that ends soon after.
//
// A scheme reads one or more forms and makes the first of them, or the one that the store's present
// value has where the application keeps both. A form takes a value apart into a setting (cost and
// salt) and a digest.
//
//	scheme.go    Scheme: what the rest of the program uses
//	table.go     the table of schemes
//	form.go      form, setting, and how one form wraps another
//	cost.go      limits and prices
//	limit.go     which clear texts a form can hold
//	salt.go      random salts, encodings, numbers
//	crypt.go     bcrypt and the other formats of crypt(3)
//	pbkdf2.go    PBKDF2 as Django, passlib, Grafana and mosquitto spell it
//	argon2.go    argon2id and argon2i
//	scrypt.go    scrypt as passlib and Django spell it
//	gitea.go     Gitea's columns
//	digest.go    salted and unsalted digests: {SSHA}, mosquitto's $6$, MySQL's, NT
//	scram.go     PostgreSQL's SCRAM-SHA-256 and MD5
//	wordpress.go WordPress, and its old phpass
package scheme

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// ErrOther says that a value is not of the scheme, or not a whole one.
var ErrOther = errors.New("not a value of this scheme")

// Scheme is one way of an application to keep a password. Its zero value makes and reads nothing:
// get one from Find.
type Scheme struct {
	name   string
	doc    string
	parts  []Part
	sealed bool
	forms  []form // the first is the default; the others are read, and made where the store has them
}

// Part is a column of a store that holds a part of a value.
type Part string

// The parts, in the order in which a value joins them.
const (
	Algorithm Part = "algorithm"
	Salt      Part = "salt"
	Hash      Part = "hash"
)

// separator stands between the parts of a value. No part may contain it.
const separator = "\x1f"

// Join makes one value of its parts, in the order of Parts.
func Join(parts ...string) string { return strings.Join(parts, separator) }

// Split returns the n parts of a value. ok is false if the value has another number of parts.
func Split(value string, n int) (parts []string, ok bool) {
	parts = strings.Split(value, separator)
	return parts, len(parts) == n
}

// Find returns the scheme of this name.
func Find(name string) (Scheme, error) {
	i := slices.IndexFunc(table(), func(s Scheme) bool { return s.name == name })
	if i < 0 {
		return Scheme{}, fmt.Errorf("cannot find the hash scheme %q: there are %s", name, strings.Join(Names(), ", "))
	}
	return table()[i], nil
}

// Names returns the names of all schemes, in the order of docs/stores.md.
func Names() []string {
	var names []string
	for _, s := range table() {
		names = append(names, s.name)
	}
	return names
}

// Name is the name in the configuration.
func (s Scheme) Name() string { return s.name }

// Doc says in half a line which applications use the scheme.
func (s Scheme) Doc() string { return s.doc }

// Parts names the columns that make up a value. A value of several parts is one string: see Join.
func (s Scheme) Parts() []Part { return slices.Clone(s.parts) }

// Sealed reports whether a value opens the account like the password itself, so that copies of it
// must be sealed at rest.
func (s Scheme) Sealed() bool { return s.sealed }

// CheckCost returns an error if the scheme cannot make values of this cost. 0 means the default.
// docs/stores.md names the unit of each scheme.
func (s Scheme) CheckCost(cost int) error {
	_, err := s.forms[0].fresh(cost)
	return err
}

// Make returns a new value for a clear text, with a fresh salt from the kernel. like is the
// account's present value, or another one of the store: its form, cost and salt length are taken if
// the application still makes such values. Else, with a value that costs more than the limits
// allow, and with "", Make takes cost (0: the scheme's default).
//
// account is the name in the store, for forms that hash the name too.
//
// If the clear text does not fit the scheme, the error is a *shadowsync.RefusedError.
func (s Scheme) Make(secret []byte, account, like string, cost int) (string, error) {
	value, err := s.make(secret, account, like, cost)
	if err != nil {
		return "", fmt.Errorf("cannot hash a password as %s: %w", s.name, err)
	}
	return value, nil
}

func (s Scheme) make(secret []byte, account, like string, cost int) (string, error) {
	f, setting, err := s.choose(like, cost)
	if err != nil {
		return "", err
	}
	if err := f.limit.check(secret); err != nil {
		return "", err
	}
	digest, err := compute(setting, secret, account)
	if err != nil {
		return "", err
	}
	value := setting.encode(digest)
	_, again, read, err := s.parse(value)
	if err != nil || again.encode(read) != value || subtle.ConstantTimeCompare(read, digest) != 1 {
		return "", errors.New("the new value does not read back")
	}
	return value, nil
}

// choose returns the form of a new value and a setting with a fresh salt.
func (s Scheme) choose(like string, cost int) (form, setting, error) {
	if f, present, _, err := s.parse(like); err == nil && f.fresh != nil {
		return f, present.renew(), nil
	}
	f := s.forms[0]
	fresh, err := f.fresh(cost)
	return f, fresh, err
}

// Verify reports whether a clear text is the password behind a value. An error means that the
// question is open: the value is not a whole one of the scheme (ErrOther) or costs more than the
// limits allow (format.ErrTooCostly), or the clear text is one that Make refuses. Applications differ
// in what they did with such a one: Home Assistant, for example, has cut it off.
func (s Scheme) Verify(value string, secret []byte, account string) (bool, error) {
	f, setting, want, err := s.parse(value)
	if err != nil {
		return false, fmt.Errorf("cannot verify a password as %s: %w", s.name, err)
	}
	if err := f.limit.check(secret); err != nil {
		return false, fmt.Errorf("cannot verify a password as %s: %w", s.name, err)
	}
	digest, err := compute(setting, secret, account)
	if err != nil {
		return false, fmt.Errorf("cannot verify a password as %s: %w", s.name, err)
	}
	return subtle.ConstantTimeCompare(digest, want) == 1, nil
}

// Read returns the error that Verify would return for a value, without computing anything.
func (s Scheme) Read(value string) error {
	_, _, _, err := s.parse(value)
	return err
}

// dearMemory is so much that the next digest must not come on top of it.
const dearMemory = 16 << 20

// compute returns the digest. What a dear one took is free again then: Go would collect it only once it had as much again,
// or several times as much.
func compute(s setting, secret []byte, account string) ([]byte, error) {
	digest, err := s.digest(secret, account)
	if s.cost().Memory > dearMemory {
		runtime.GC()
	}
	return digest, err
}

// Price says what it takes to make or verify one value.
type Price struct {
	Memory int64 // in bytes
	Slow   bool  // it may take a slow machine more than a second
}

// Price returns what Make takes with the same like and cost, or Verify with like as the value,
// whichever is more: they differ where like is of a form that is only read.
func (s Scheme) Price(like string, cost int) Price {
	var c format.Cost
	if _, setting, err := s.choose(like, cost); err == nil {
		c = setting.cost()
	}
	if _, present, _, err := s.parse(like); err == nil {
		c = c.Max(present.cost())
	}
	return Price{Memory: int64(c.Memory), Slow: c.Seconds() > 1}
}

// parse takes a value apart, and refuses one that would cost too much to compute.
func (s Scheme) parse(value string) (form, setting, []byte, error) {
	if len(value) > maxValue {
		return form{}, nil, nil, ErrOther
	}
	for _, f := range s.forms {
		setting, digest, ok := f.parse(value)
		if !ok {
			continue
		}
		return f, setting, digest, setting.cost().Within(limits)
	}
	return form{}, nil, nil, ErrOther
}

// limits bound what a value of a store may cost. A value is foreign, and a clear text is checked
// against it while somebody waits.
var limits = format.Cost{Rounds: maxRounds, Log2: maxLog2, Memory: maxMemory, Work: maxWork}
