package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Fault is the reason why a store as a whole cannot be used. Its text is the bare cause, short and
// for people ("read-only file system"): callers print it inside a longer sentence. errors.Is finds
// the kind and the cause in it.
type Fault struct {
	Kind   error // shadowsync.ErrUnavailable or shadowsync.ErrMalformed
	Reason string
	Cause  error // may be nil
	// Answered: the server of the store said so itself. A new worker would hear the same, unless
	// somebody mends it meanwhile.
	Answered bool
}

func (f *Fault) Error() string { return f.Reason }

// Unwrap returns the kind and the cause, down to the syscall.Errno.
func (f *Fault) Unwrap() []error {
	if f.Cause == nil {
		return []error{f.Kind}
	}
	return []error{f.Kind, f.Cause}
}

// Malformed is the fault of a store whose content a person must check.
func Malformed(format string, args ...any) error {
	return &Fault{Kind: shadowsync.ErrMalformed, Reason: fmt.Sprintf(format, args...)}
}

// Unavailable is the fault of a store that cannot be reached now. The reason is the kernel's error
// text if there is one, without the path, which the caller knows. A cause that is, or wraps, a
// Fault is returned as that Fault.
func Unavailable(cause error) error {
	if fault := (*Fault)(nil); errors.As(cause, &fault) {
		return fault
	}
	return &Fault{Kind: shadowsync.ErrUnavailable, Reason: reason(cause), Cause: cause}
}

// CheckBatch returns what is wrong with the writes of one call, whatever the store holds. Every driver's
// Write begins with it.
func CheckBatch(writes []shadowsync.Write) error {
	seen := make(map[string]bool, len(writes))
	for _, w := range writes {
		if seen[w.Name] {
			return errTwice
		}
		seen[w.Name] = true
	}
	return nil
}

var errTwice = errors.New("cannot write: there are two writes for one account")

func reason(cause error) string {
	var errno syscall.Errno
	switch {
	case errors.As(cause, &errno):
		return errno.Error()
	case errors.Is(cause, context.DeadlineExceeded), errors.Is(cause, os.ErrDeadlineExceeded):
		return "no answer in time"
	}
	return cause.Error()
}
