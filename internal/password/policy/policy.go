// Package policy judges new passwords. The configuration's rules apply to everybody. If root sets a
// password with shadowsync, the machine's own rules for other users apply too.
//
// PAM remains responsible for its rules: the machine's own pam_pwquality line (or that of
// pam_passwdqc or pam_cracklib) runs with its options and /etc/security/pwquality.conf, alone in a
// private stack that stores nothing, with the option that includes root. That happens in a
// short-lived process: it runs third-party modules, and copies of the token disappear with it.
//
//	policy.go  Rules: what the configuration adds
//	rules.go   the same for the broker, which reads no token
//	review.go  both, for a password that is already set
//	stack.go   the machine's own line, in a stack of its own
//	judge.go   asks the stack, in workers that are reused
//	worker.go  the worker that the stack runs in
package policy

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// ErrWeak: a rule refuses the password. The error that wraps it says which.
var ErrWeak = errors.New("refused by the password policy")

// WeakError tells people why a password is refused.
type WeakError struct{ Reason string }

func (e *WeakError) Error() string { return e.Reason }
func (e *WeakError) Unwrap() error { return ErrWeak }

func weak(format string, args ...any) error { return &WeakError{fmt.Sprintf(format, args...)} }

// Rules are the configured rules beyond the machine's own. The zero value requires nothing.
type Rules struct {
	MinLength  int      // characters
	MinClasses int      // of upper case, lower case, digits, others
	Reject     []string // texts that no password may contain, in upper or lower case
	History    int      // passwords that may not be reused, including the present one
}

func (r Rules) none() bool {
	return r.MinLength == 0 && r.MinClasses == 0 && len(r.Reject) == 0 && r.History == 0
}

// Check judges a new token for an account with this present credential and this record.
func (r Rules) Check(token []byte, present shadowsync.Credential, record shadowsync.Record) error {
	return r.check(token, r.past(present, record), "")
}

// CheckAgain is Check for the shadowsync tool: it allows the present password, because an
// interrupted list is run again.
func (r Rules) CheckAgain(token []byte, present shadowsync.Credential, record shadowsync.Record) error {
	return r.check(token, r.past(present, record), present.Hash)
}

// check allows reuse of the password whose hash is again.
func (r Rules) check(token []byte, past []string, again string) error {
	if n := utf8.RuneCount(token); n < r.MinLength {
		return weak("it has %s, %d %s required", plural.Count(n, "character"), r.MinLength, plural.Form(r.MinLength, "is", "are"))
	}
	if n := classes(token); n < r.MinClasses {
		return weak("it has %d %s of characters, %d are required", n, plural.Form(n, "class", "classes"), r.MinClasses)
	}
	folded := bytes.ToLower(token)
	defer clear(folded)
	for _, text := range r.Reject {
		if bytes.Contains(folded, bytes.ToLower([]byte(text))) {
			return weak("it contains a forbidden text")
		}
	}
	for i, same := range matches(token, past) {
		switch {
		case !same:
		case past[i] == again:
			return nil // the record may also have it with another salt
		default:
			return weak("it was used before")
		}
	}
	return nil
}

// costly is the memory of a hash, in bytes, above which hashes are verified one at a time.
const costly = 64 << 20

// matches reports for each hash whether the token belongs to it. It uses all processors, so that
// passwd(1) does not wait for one hash after the other. A hash that cannot be verified here does
// not match.
func matches(token []byte, hashes []string) []bool {
	same, turns := make([]bool, len(hashes)), make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, hash := range hashes {
		if h, err := format.Parse(hash); err == nil && h.Cost.Memory > costly {
			turns = make(chan struct{}, 1)
		}
	}
	var wg sync.WaitGroup
	for i, hash := range hashes {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			ok, err := crypt.Verify(hash, token)
			same[i] = err == nil && ok
		})
	}
	wg.Wait()
	return same
}

// past returns the hashes, the present one first, whose passwords may not be reused.
func (r Rules) past(present shadowsync.Credential, record shadowsync.Record) []string {
	now := shadowsync.Entry{Baseline: shadowsync.Baseline{OS: present}}
	return append(shadowsync.Record{now}, record...).Passwords(r.History)
}

// TooSoon reports whether the minimum age (shadow(5), field 4) forbids users other than root to
// change the account's password on this day.
func TooSoon(c shadowsync.Credential, day shadowsync.Day) bool {
	return c.Min > 0 && c.LastChange != shadowsync.NoDay && day < c.LastChange+c.Min
}

func classes(token []byte) int {
	var upper, lower, digit, other int
	for len(token) > 0 { // not as a string, which could not be wiped
		c, size := utf8.DecodeRune(token)
		token = token[size:]
		switch {
		case unicode.IsUpper(c):
			upper = 1
		case unicode.IsLower(c):
			lower = 1
		case unicode.IsDigit(c):
			digit = 1
		default:
			other = 1
		}
	}
	return upper + lower + digit + other
}
