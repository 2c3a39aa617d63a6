package pamstack

import (
	"errors"
	"fmt"
)

// What can be wrong with a line of pam_shadowsync.so.
var (
	ErrAbsent       = errors.New("the line of " + Module + " is missing")
	ErrBefore       = errors.New(Module + " comes before the module that stores the password")
	ErrUnreached    = errors.New(Module + " is never reached: the stack ends, or jumps over it, once the password is stored")
	ErrAfterFailure = errors.New(Module + " is reached after a failed change too: the storing module must jump over a requisite pam_deny.so, as Debian's does")
	ErrControl      = errors.New(Module + " decides the outcome of a password change: its control must be optional")

	ErrLate      = errors.New(Module + " judge does not come before the module that stores the password")
	ErrPowerless = errors.New(Module + " judge refuses either nothing or too much: its control must be [authtok_err=die default=ignore]")

	ErrUnheard     = errors.New(Module + " is never reached by a login, or before its password is checked")
	ErrAfterDenial = errors.New(Module + " is reached after a refused login too")
	ErrLoginRules  = errors.New(Module + " decides about logins: its control must be optional")
)

// GapError is a way past one of our lines.
type GapError struct{ Gap }

func (e *GapError) Error() string {
	how := "with the result " + e.Result
	if e.Result == fallback {
		how = "when it fails"
	}
	return fmt.Sprintf("%s (%s) lets accounts in without their second factor, %s", e.Line.Place(), e.Line, how)
}

// Past returns the ways to get into a service without what the line of this duty asks for: an error that
// wraps ErrAbsent, or a *GapError for each line that opens such a way.
func (d Duty) Past(service string, lines []Line) (faults []error) {
	if _, there := d.Find(lines); !there {
		return []error{fmt.Errorf("%s: %w: %s line that %s", service, ErrAbsent, d.Kind, d.Name)}
	}
	for _, gap := range d.Gaps(service, lines) {
		faults = append(faults, &GapError{gap})
	}
	return faults
}

// Stores reports whether the stack changes or checks passwords of local accounts.
func Stores(lines []Line) bool { return walk(lines, true).seen }

// Check returns what is wrong with the line of this duty, in a stack of its kind that stores or
// checks passwords: an error that wraps one of those above and names the place.
func (d Duty) Check(lines []Line) error {
	ours, there := d.Find(lines)
	if !there {
		return ErrAbsent
	}
	if fault := d.fault(lines, ours); fault != nil {
		return fmt.Errorf("%s (%s): %w", ours.Place(), ours, fault)
	}
	return nil
}

func (d Duty) fault(lines []Line, ours Line) error {
	success, failure := walk(lines, true), walk(lines, false)
	switch d {
	case Judge:
		return judgeFault(success, ours)
	case Login:
		return loginFault(success, failure, ours)
	}
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

func judgeFault(success walker, ours Line) error {
	switch {
	case decides(ours.Control) || after(ours.Control, "authtok_err") != die:
		return ErrPowerless
	case !success.judged:
		return ErrLate
	}
	return nil
}

func loginFault(success, failure walker, ours Line) error {
	switch {
	case decides(ours.Control):
		return ErrLoginRules
	case !success.reached:
		return ErrUnheard
	case failure.reached:
		return ErrAfterDenial
	}
	return nil
}

// decides reports whether the line can affect the outcome by anything but a refusal. The module
// returns PAM_IGNORE, and libpam assumes PAM_MODULE_UNKNOWN if the module's file is missing.
func decides(control string) bool {
	return after(control, "ignore") != ignore || after(control, "module_unknown") != ignore
}
