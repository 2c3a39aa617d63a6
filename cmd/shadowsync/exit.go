package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/internal/setup"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// What a command ends with when it did not simply fail.
var (
	errUsage            = errors.New("wrong usage")
	errNotInSync        = errors.New("not in sync")
	errConflict         = errors.New("a person must decide")
	errNoApplication    = errors.New("no such application")
	errPassword         = errors.New("password refused")
	errNotAuthenticated = errors.New("not authenticated")
	errNotPermitted     = errors.New("not permitted")
	errInterrupted      = errors.New("interrupted")
)

// exits is the one table from error to exit status; the first line that fits
// counts. Every help page prints it.
var exits = []struct {
	status int
	means  string
	errors []error
}{
	{0, "done", nil},
	{1, "failed", nil},
	{130, "interrupted", []error{errInterrupted, context.Canceled}},
	{2, "wrong usage", []error{errUsage, setup.ErrIncomplete}},
	{4, "conflict: a person must decide", []error{errConflict, setup.ErrUndecided}},
	{3, "not in sync, or done on the OS side and pending on the store's", []error{errNotInSync, setup.ErrWaiting}},
	{5, "no such account or application", []error{shadowsync.ErrNoAccount, errNoApplication}},
	{6, "refused by the password policy", []error{errPassword, policy.ErrWeak, crypt.ErrTokenEmpty, crypt.ErrTokenTooLong, crypt.ErrTokenNUL}},
	{7, "not authenticated", []error{errNotAuthenticated}},
	{8, "not permitted", []error{errNotPermitted, os.ErrPermission}},
	{9, "store or lock not available in time", []error{shadowsync.ErrUnavailable, context.DeadlineExceeded}},
}

func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	for _, e := range exits {
		for _, target := range e.errors {
			if errors.Is(err, target) {
				return e.status
			}
		}
	}
	return 1
}

// exitHelp is the table as the help pages print it.
func exitHelp() string {
	lines := make(map[int]string, len(exits))
	for _, e := range exits {
		lines[e.status] = fmt.Sprintf("  %-4d %s\n", e.status, e.means)
	}
	var b strings.Builder
	b.WriteString("\nExit status:\n")
	for _, status := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130} {
		b.WriteString(lines[status])
	}
	return b.String()
}

// marked is an error that also is another one, which decides the exit status and
// does not show in the text.
type marked struct{ err, mark error }

func mark(err, as error) error    { return &marked{err, as} }
func (m *marked) Error() string   { return m.err.Error() }
func (m *marked) Unwrap() []error { return []error{m.err, m.mark} }

// toldError has been told already, as part of the command's output: only its
// hint and its exit status are left.
type toldError struct{ error }

func (t *toldError) Unwrap() error { return t.error }

func told(err error) error {
	if err == nil {
		return nil
	}
	return &toldError{err}
}

// usage is a mistake on the command line.
type usage struct {
	error
	command string
}

func (u *usage) Unwrap() []error { return []error{u.error, errUsage} }

func usageError(c *cobra.Command, err error) error {
	return &usage{fmt.Errorf("cannot understand the command line: %w", err), c.CommandPath()}
}

// similarError is a mistyped command.
type similarError struct {
	error
	command string
}

func (s *similarError) Unwrap() error { return s.error }

// Errors that carry what their hint needs.
type (
	notRootError struct{}

	noAccountError struct{ account string }

	noUnitError struct{ unit string }

	// pendingError names accounts that are not in sync although nobody needs to decide anything.
	pendingError struct{ accounts []string }

	// conflictError names accounts that wait for a person.
	conflictError struct {
		accounts  []string
		refused   bool              // by the store: another value is needed, not a decision
		malformed bool              // so is the store: nothing can be decided before it is mended
		choices   []shadowsync.Side // that settle all of them
	}

	// unseenError names accounts with a new password that nobody has seen.
	unseenError struct{ accounts []string }

	// guardPendingError: the guard is on for changes that wait, and was not forced.
	guardPendingError struct {
		unit     string
		accounts []string
	}
)

func (notRootError) Error() string { return "only root can do that" }
func (notRootError) Unwrap() error { return errNotPermitted }

func (e *noAccountError) Error() string {
	return fmt.Sprintf("no application manages an account %q", e.account)
}
func (e *noAccountError) Unwrap() error { return shadowsync.ErrNoAccount }

func (e *noUnitError) Error() string {
	if e.unit == "" {
		return "there is more than one application: name its unit"
	}
	return fmt.Sprintf("no application has the unit %q", e.unit)
}
func (e *noUnitError) Unwrap() error { return errNoApplication }

func (e *pendingError) Error() string {
	return "cannot bring OS and store together yet: " + listed(e.accounts)
}
func (e *pendingError) Unwrap() error { return errNotInSync }

func (e *conflictError) Error() string {
	return "cannot bring OS and store together: conflict: " + listed(e.accounts)
}
func (e *conflictError) Unwrap() error { return errConflict }

func (e *guardPendingError) Error() string {
	return fmt.Sprintf("%s is held back for changes that its store has not taken yet: %s", e.unit, listed(e.accounts))
}

func (e *unseenError) Error() string { return "cannot show new passwords: " + listed(e.accounts) }

// listed names a few of many.
func listed(names []string) string {
	const few = 5
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}
