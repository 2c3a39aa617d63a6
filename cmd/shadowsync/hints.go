package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/hook"
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/internal/setup"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// hints is the one table from error to what to run next; the first line that
// fits counts. The command is the one that failed, without its arguments: a
// password may be among them.
var hints = []func(err error, command string) string{
	as(func(e *similarError, _ string) string { return e.command }),
	as(func(e *usage, _ string) string { return e.command + " --help" }),
	as(func(_ notRootError, command string) string { return "sudo " + command }),
	as(func(e *unseenError, _ string) string { return unseenHint(e) }),
	as(func(e *conflictError, _ string) string { return conflictHint(e) }),
	as(func(e *guardPendingError, _ string) string { return "shadowsync guard release " + e.unit + " --force" }),
	as(func(*noAccountError, string) string { return "shadowsync user list" }),
	as(func(*noUnitError, string) string { return "shadowsync guard status" }),
	as(func(*noTerminalError, string) string { return "shadowsync user set password NAME --stdin" }),
	as(func(e *noPasswordError, _ string) string {
		return "shadowsync user reset password " + e.account + " --unlock"
	}),
	as(func(*noEntryError, string) string { return "shadowsync history NAME" }),
	as(func(*state.NewerError, string) string { return "install the shadowsync that wrote it, or a newer one" }),
	as(func(*state.ChainError, string) string {
		return "compare with the journal: journalctl SYSLOG_IDENTIFIER=shadowsync"
	}),
	as(func(*setup.FirstDifferenceError, string) string {
		return "shadowsync setup --first os (or --first store)"
	}),
	as(func(e *setup.ContradictionError, _ string) string {
		return "edit " + e.Path + ", then: shadowsync setup"
	}),
	as(func(*setup.WaitingError, string) string { return "shadowsync sync (or: shadowsync remove --force)" }),
	as(func(*setup.PAMError, string) string { return "shadowsync doctor" }),
	as(func(e *hook.NotSettledError, _ string) string { return notSettledHint(e) }),
	as(func(*pendingError, string) string { return "shadowsync status" }),
	is(policy.ErrWeak, "choose another password, or: shadowsync user reset password NAME"),
	is(config.ErrNotFound, setupHint),
	is(setup.ErrIncomplete, setupHint),
	is(errInterrupted, "shadowsync status"),
	is(shadowsync.ErrUnavailable, "shadowsync status"),
	is(shadowsync.ErrMalformed, "shadowsync doctor"),
	is(os.ErrPermission, "shadowsync doctor"),
}

// as is a hint for errors of type E.
func as[E error](hint func(E, string) string) func(error, string) string {
	return func(err error, command string) string {
		var e E
		if errors.As(err, &e) {
			return hint(e, command)
		}
		return ""
	}
}

func is(target error, hint string) func(error, string) string {
	return func(err error, _ string) string {
		if errors.Is(err, target) {
			return hint
		}
		return ""
	}
}

func hintFor(err error, command string) string {
	for _, hint := range hints {
		if text := hint(err, command); text != "" {
			return text
		}
	}
	return ""
}

const setupHint = "shadowsync setup --unit UNIT --account NAME"

func notSettledHint(e *hook.NotSettledError) string {
	if e.Outcome.State == shadowsync.Conflict {
		return conflictHint(conflictOf(e.Outcome))
	}
	return "shadowsync sync " + e.Outcome.Account
}

// unseenHint: a password that nobody has seen is of use to nobody, and another is no loss.
func unseenHint(e *unseenError) string {
	if len(e.accounts) > 5 {
		return "shadowsync user reset password --from FILE, with the accounts named above"
	}
	return "shadowsync user reset password " + strings.Join(e.accounts, " ")
}

func conflictHint(e *conflictError) string {
	names := strings.Join(e.accounts, " ")
	if len(e.accounts) > 5 {
		names = "NAME"
	}
	switch {
	case e.malformed:
		return "mend the store, then: shadowsync sync " + names
	case e.refused, len(e.choices) == 0 && len(e.accounts) == 1:
		return "shadowsync user set password " + e.accounts[0]
	case len(e.choices) == 0:
		return "shadowsync status"
	}
	hint := fmt.Sprintf("shadowsync sync %s --prefer %s", names, e.choices[0])
	if len(e.choices) > 1 {
		hint += fmt.Sprintf(" (or --prefer %s)", e.choices[1])
	}
	return hint
}

// complain prints an error and its hint.
func (a *app) complain(command string, err error) {
	for _, text := range untold(err) {
		fmt.Fprintf(a.err, "shadowsync: %s\n", oneLine(cannot(command, text)))
	}
	if hint := hintFor(err, command); hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", printable.Quote(hint))
	}
}

// cannot makes a sentence of a reason that does not say what it keeps from being done.
func cannot(command, text string) string {
	if strings.HasPrefix(text, "cannot ") {
		return text
	}
	return "cannot run " + command + ": " + text
}

// untold are the texts of what was not told yet.
func untold(err error) []string {
	var t *toldError
	if !errors.As(err, &t) {
		return []string{err.Error()}
	}
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var out []string
	for _, e := range many.Unwrap() {
		out = append(out, untold(e)...)
	}
	return out
}

// oneLine is a text, also that of joined errors, on one line and harmless.
func oneLine(text string) string {
	return printable.Quote(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
}
