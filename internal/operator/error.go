package operator

import "fmt"

// Kind says what is wrong in a way that programs can act on.
type Kind string

// The kinds of errors. Each has one exit status, the root tool's for the same thing.
const (
	Failed           Kind = "failed"
	Usage            Kind = "usage"             // the request makes no sense
	Pending          Kind = "pending"           // done on the OS side, the store's is open
	Conflict         Kind = "conflict"          // a person must decide
	NoAccount        Kind = "no-account"        // or one that the asker may not see
	Policy           Kind = "policy"            // refused by the password policy
	NotAuthenticated Kind = "not-authenticated" // the current password is not that
	NotPermitted     Kind = "not-permitted"
	Unavailable      Kind = "unavailable" // store, lock or broker do not answer in time
)

// Exit is the exit status of a program that ends with an error of this kind.
func (k Kind) Exit() int {
	switch k {
	case Usage:
		return 2
	case Pending:
		return 3
	case Conflict:
		return 4
	case NoAccount:
		return 5
	case Policy:
		return 6
	case NotAuthenticated:
		return 7
	case NotPermitted:
		return 8
	case Unavailable:
		return 9
	}
	return 1
}

// Error is the broker's refusal. Text is for the operator, without a full stop,
// and printable.
type Error struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

func (e *Error) Error() string { return e.Text }

// Errorf makes an Error.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
