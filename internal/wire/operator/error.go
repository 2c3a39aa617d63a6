package operator

import (
	"fmt"

	"github.com/shadowsync/shadowsync/internal/term/exit"
)

// Kind classifies an error for programs.
type Kind string

// The kinds of errors. Each has one exit status.
const (
	Failed           Kind = "failed"
	Usage            Kind = "usage"             // the request is invalid
	Pending          Kind = "pending"           // done on the OS side, not yet in the store
	Conflict         Kind = "conflict"          // a person must decide
	NoAccount        Kind = "no-account"        // no such account, or the caller may not see it
	Policy           Kind = "policy"            // refused by the password policy
	NotAuthenticated Kind = "not-authenticated" // the current password is wrong
	CodeNeeded       Kind = "code-needed"       // this shell must show a code of the second factor first
	CodeRefused      Kind = "code-refused"      // another code may be right
	NotPermitted     Kind = "not-permitted"
	Unavailable      Kind = "unavailable" // the store, a lock or the broker did not answer in time
)

// Exit returns the exit status of a program that ends with an error of this kind.
func (k Kind) Exit() int {
	switch k {
	case Usage:
		return exit.Usage
	case Pending:
		return exit.NotInSync
	case Conflict:
		return exit.Conflict
	case NoAccount:
		return exit.Unknown
	case Policy:
		return exit.Policy
	case NotAuthenticated, CodeNeeded, CodeRefused:
		return exit.NotAuthenticated
	case NotPermitted:
		return exit.NotPermitted
	case Unavailable:
		return exit.Unavailable
	}
	return exit.Failed
}

// Error is the broker's refusal. Text is shown to the operator; it has no full stop and is
// printable.
type Error struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

func (e *Error) Error() string { return e.Text }

// Errorf makes an Error.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
