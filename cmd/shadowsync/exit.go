package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/term/exit"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// These errors select an exit status other than 1.
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

// ending is one exit status and the errors that select it.
type ending struct {
	status int
	means  string
	errors []error
}

// exits is the one table from error to exit status. The first matching line counts. Every help page
// prints the table.
var exits = []ending{
	{exit.Done, "done", nil},
	{exit.Failed, "failed", nil},
	{exit.Interrupted, "interrupted", []error{errInterrupted, context.Canceled}},
	{exit.Usage, "wrong usage", []error{errUsage, setup.ErrIncomplete, bulk.ErrLine, factor.ErrAddress}},
	{exit.Conflict, "conflict: a person must decide", []error{errConflict, setup.ErrUndecided}},
	{exit.NotInSync, "not in sync, or done on the OS side and pending on the store's", []error{errNotInSync, setup.ErrWaiting}},
	{exit.Unknown, "no such account or application", []error{shadowsync.ErrNoAccount, errNoApplication}},
	{exit.Policy, "refused by the password policy", []error{errPassword, policy.ErrWeak, crypt.ErrTokenEmpty, crypt.ErrTokenTooLong, crypt.ErrTokenNUL, cleartext.ErrNewline, bulk.ErrNoPassword}},
	{exit.NotAuthenticated, "not authenticated", []error{errNotAuthenticated, factor.ErrRefused}},
	{exit.NotPermitted, "not permitted", []error{errNotPermitted, os.ErrPermission}},
	{exit.Unavailable, "store or lock not available in time", []error{shadowsync.ErrUnavailable, context.DeadlineExceeded}},
}

func exitStatus(err error) int {
	if err == nil {
		return exit.Done
	}
	for _, e := range exits {
		for _, target := range e.errors {
			if errors.Is(err, target) {
				return e.status
			}
		}
	}
	return exit.Failed
}

// exitHelp is the table as the help pages print it.
func exitHelp() string {
	inOrder := slices.Clone(exits)
	slices.SortFunc(inOrder, func(a, b ending) int { return cmp.Compare(a.status, b.status) })
	var b strings.Builder
	b.WriteString("\nExit status:\n")
	for _, e := range inOrder {
		fmt.Fprintf(&b, "  %-4d %s\n", e.status, e.means)
	}
	return b.String()
}

// marked is an error that also is another one. The other one decides the exit status but does not
// appear in the text.
type marked struct{ err, mark error }

func mark(err, as error) error    { return &marked{err, as} }
func (m *marked) Error() string   { return m.err.Error() }
func (m *marked) Unwrap() []error { return []error{m.err, m.mark} }

// toldError has already been printed as part of the command's output. Only its hint and its exit
// status are still needed.
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

// These errors carry the data that their hints need.
type (
	notRootError struct{}

	noUnitError struct{ unit string }

	noApplicationError struct{ name string }

	// applicationNameError: an application is named in the place of an account.
	applicationNameError struct {
		error
		application string
	}

	// pendingError names accounts that are not in sync but need no decision.
	pendingError struct{ accounts []string }

	// conflictError names accounts that need a person's decision.
	conflictError struct {
		accounts  []string
		refused   bool              // by the store: it needs another value, not a decision
		malformed bool              // the store, too: it must be repaired before a decision is possible
		choices   []shadowsync.Side // each of these settles all of the conflicts
	}

	// halfResetError names accounts whose password is reset, and whose second factor is not, or whose
	// enrolment code could not be shown.
	halfResetError struct{ accounts []string }
	// unseenError names accounts whose new password could not be shown.
	unseenError struct{ accounts []string }

	// guardPendingError: the guard is on for pending changes, and --force was not given.
	guardPendingError struct {
		unit     string
		accounts []string
	}
)

func (notRootError) Error() string { return "only root can do that" }
func (notRootError) Unwrap() error { return errNotPermitted }

func (e *noUnitError) Error() string {
	if e.unit == "" {
		return "there is more than one application: name its unit"
	}
	return fmt.Sprintf("no application has the unit %q", e.unit)
}
func (e *noUnitError) Unwrap() error { return errNoApplication }

func (e *noApplicationError) Error() string { return fmt.Sprintf("there is no application %q", e.name) }
func (e *noApplicationError) Unwrap() error { return errNoApplication }

func (e *applicationNameError) Unwrap() error { return e.error }

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

func (e *halfResetError) Error() string {
	return "the password is reset, and the second factor is not: " + listed(e.accounts)
}
func (e *unseenError) Error() string { return "cannot show new passwords: " + listed(e.accounts) }

// listed names the first few names and counts the rest.
func listed(names []string) string {
	const few = 5
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}
