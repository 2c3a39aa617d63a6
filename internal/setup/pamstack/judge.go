package pamstack

import (
	"errors"
	"fmt"
)

// What can be wrong with our line.
var (
	ErrAbsent       = errors.New("the line of " + Module + " is missing")
	ErrBefore       = errors.New(Module + " comes before the module that stores the password")
	ErrUnreached    = errors.New(Module + " is never reached: the stack ends, or jumps over it, once the password is stored")
	ErrAfterFailure = errors.New(Module + " is reached after a failed change too: the storing module must jump over a requisite pam_deny.so, as Debian's does")
	ErrControl      = errors.New(Module + " decides the outcome of a password change: its control must be optional")
)

// Stores tells whether the stack changes passwords of local accounts.
func Stores(lines []Line) bool { return walk(lines, true).seen }

// Find returns the first line with our module, in substacks too.
func Find(lines []Line) (Line, bool) {
	for _, l := range lines {
		if l.Module == Module {
			return l, true
		}
		if found, ok := Find(l.Substack); ok {
			return found, true
		}
	}
	return Line{}, false
}

// Judge tells what is wrong with our line in a stack that stores passwords: an
// error that wraps one of those above, and names the place.
func Judge(lines []Line) error {
	ours, there := Find(lines)
	if !there {
		return ErrAbsent
	}
	fault := judge(lines, ours)
	if fault == nil {
		return nil
	}
	return fmt.Errorf("%s (%s): %w", ours.Place(), ours, fault)
}

func judge(lines []Line, ours Line) error {
	success, failure := walk(lines, true), walk(lines, false)
	switch {
	case decides(ours.Control):
		return ErrControl
	case success.early:
		return ErrBefore
	case !success.reached:
		return ErrUnreached
	case failure.reached:
		return ErrAfterFailure
	}
	return nil
}

// decides tells whether the line has a say in the outcome: ours always returns
// PAM_IGNORE, and PAM_MODULE_UNKNOWN stands in for it once its file is gone.
func decides(control string) bool {
	return after(control, "ignore") != ignore || after(control, "module_unknown") != ignore
}

// Storing returns the line of the module that stores the password.
func Storing(lines []Line) (Line, bool) {
	for _, l := range lines {
		if storing[l.Module] {
			return l, true
		}
		if found, ok := Storing(l.Substack); ok {
			return found, true
		}
	}
	return Line{}, false
}
