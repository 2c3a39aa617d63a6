// Package policy judges new passwords: by the configuration's own rules, whoever sets
// them, and where root sets them through our own tool, by those too that the machine has for everybody else.
//
// What PAM does stays PAM's: the machine's own pam_pwquality line (or that of
// pam_passwdqc or pam_cracklib) is run with its options and /etc/security/pwquality.conf,
// alone, in a private stack that stores nothing, and told that root counts too. That happens in a short-lived
// child: modules of other people run there, and copies of the token end with it.
//
//	policy.go  Rules: what the configuration adds
//	rules.go   the same for the broker, which reads no token
//	review.go  both, for a password that is set already
//	stack.go   the machine's own line, in a stack of its own
//	judge.go   the children and what is asked of them
//	worker.go  the child that asks the stack
package policy

import (
	"bytes"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// ErrWeak: a rule refuses the password. The error around it says which.
var ErrWeak = errors.New("refused by the password policy")

// WeakError says in words for people why a password is refused.
type WeakError struct{ Reason string }

func (e *WeakError) Error() string { return e.Reason }
func (e *WeakError) Unwrap() error { return ErrWeak }

func weak(format string, args ...any) error { return &WeakError{fmt.Sprintf(format, args...)} }

// Rules are what the configuration asks for beyond the machine's own. The zero value asks for nothing.
type Rules struct {
	MinLength  int      // characters
	MinClasses int      // of upper case, lower case, digits, others
	Reject     []string // texts that no password may contain, whatever their case
	History    int      // passwords that may not come back, the present one first
}

// RulesOf are the rules of a configuration.
func RulesOf(c config.Password) Rules {
	return Rules{MinLength: c.MinLength, MinClasses: c.MinClasses, Reject: c.Reject, History: c.History}
}

func (r Rules) none() bool {
	return r.MinLength == 0 && r.MinClasses == 0 && len(r.Reject) == 0 && r.History == 0
}

// Check judges a token for an account with this present credential and record.
func (r Rules) Check(token []byte, present shadowsync.Credential, record shadowsync.Record) error {
	return r.check(token, r.past(present, record), "")
}

// CheckAgain is Check for our own tool: there the present password may be set once more,
// for a list that was interrupted is run again.
func (r Rules) CheckAgain(token []byte, present shadowsync.Credential, record shadowsync.Record) error {
	return r.check(token, r.past(present, record), present.Hash)
}

// check takes a password of the past that is that of the hash again.
func (r Rules) check(token []byte, past []string, again string) error {
	if n := utf8.RuneCount(token); n < r.MinLength {
		return weak("it has %d characters, %d are required", n, r.MinLength)
	}
	if n := classes(token); n < r.MinClasses {
		return weak("it has %d classes of characters, %d are required", n, r.MinClasses)
	}
	folded := bytes.ToLower(token)
	defer clear(folded)
	for _, text := range r.Reject {
		if bytes.Contains(folded, bytes.ToLower([]byte(text))) {
			return weak("it contains a text of the reject list")
		}
	}
	for _, hash := range past {
		// A hash that cannot be verified here tells nothing.
		same, err := crypt.Verify(hash, token)
		switch {
		case err != nil || !same:
		case hash == again:
			return nil // the record may know it by another salt, too
		default:
			return weak("it was used before")
		}
	}
	return nil
}

// past are the hashes, the present one first, whose passwords may not come back.
func (r Rules) past(present shadowsync.Credential, record shadowsync.Record) []string {
	now := shadowsync.Entry{Baseline: shadowsync.Baseline{OS: present}}
	return append(shadowsync.Record{now}, record...).Passwords(r.History)
}

// TooSoon tells whether the minimum age (shadow(5), field 4) keeps everybody but root from
// giving the account a new password on a day.
func TooSoon(c shadowsync.Credential, day shadowsync.Day) bool {
	return c.Min > 0 && c.LastChange != shadowsync.NoDay && day < c.LastChange+c.Min
}

func classes(token []byte) int {
	var upper, lower, digit, other int
	for _, c := range string(token) {
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
