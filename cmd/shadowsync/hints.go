package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/engine/hook"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/state/backup"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// hints is the one table from error to the next command to run. The first matching line counts.
// command is the one that failed, without its arguments, because they may contain a password.
var hints = []func(err error, command string) string{
	as(func(e *notSystemError, _ string) string { return e.hint() }),
	as(func(e *similarError, _ string) string { return e.command }),
	as(func(e *usage, _ string) string { return e.command + " --help" }),
	as(func(_ notRootError, command string) string { return "sudo " + command }),
	as(func(e *unseenError, _ string) string { return unseenHint(e) }),
	as(func(e *halfResetError, _ string) string {
		return "shadowsync user reset 2fa local " + strings.Join(e.accounts, " ")
	}),
	as(func(e *unseenCodesError, _ string) string {
		return "shadowsync user renew 2fa codes " + shellWord(e.account)
	}),
	as(func(e *factorError, _ string) string { return factorHint(e) }),
	as(func(e *heldError, _ string) string { return heldHint(e) }),
	as(func(e *conflictError, _ string) string { return conflictHint(e) }),
	as(func(e *guardPendingError, _ string) string {
		return "shadowsync sync (or, if a restart may undo the changes: shadowsync guard release " + e.unit + " --force)"
	}),
	as(func(e *stillHeldError, _ string) string { return stillHeldHint(e) }),
	as(func(*shadowfile.BadLineError, string) string { return "vipw -s" }),
	as(func(e *applicationNameError, command string) string {
		return command + " --application " + shellWord(e.application)
	}),
	as(func(*noApplicationError, string) string { return "shadowsync status" }),
	as(func(e *directory.OwnedError, _ string) string { return "shadowsync user show " + shellWord(e.Account) }),
	as(func(*config.UnmanagedError, string) string { return "shadowsync user list" }),
	as(func(*noUnitError, string) string { return "shadowsync guard status" }),
	as(func(e *targetError, _ string) string { return targetHint(e) }),
	as(func(*weakPassphraseError, string) string {
		return "choose a longer one, or: shadowsync backup FILE --recipient age1..."
	}),
	as(func(e *noPassphraseError, _ string) string { return "shadowsync " + e.command + " --stdin < FILE" }),
	as(func(e *sealError, _ string) string { return e.hint }),
	as(func(e *backup.UndoError, _ string) string { return undoHint(e) }),
	as(func(e *rootonly.Error, _ string) string { return "ls -ld " + shellWord(e.Path) }),
	as(func(e *sourceError, _ string) string { return "ls -l " + shellWord(filepath.Dir(e.path)) }),
	as(func(_ *noTerminalError, command string) string { return noTerminalHint(command) }),
	as(func(e *bulk.NoPasswordError, _ string) string {
		return "shadowsync user reset password " + e.Account + " --unlock"
	}),
	as(func(e *bulk.NoEntryError, _ string) string { return "shadowsync history " + e.Account }),
	as(func(*state.DamagedError, string) string { return "shadowsync doctor --fix" }),
	as(func(*state.UnwritableError, string) string { return "shadowsync doctor" }),
	as(func(*state.NewerError, string) string { return "install the shadowsync that wrote it, or a newer one" }),
	as(func(*state.ChainError, string) string {
		return "compare with the journal: journalctl SYSLOG_IDENTIFIER=shadowsync"
	}),
	as(func(*setup.FirstDifferenceError, string) string {
		return "shadowsync setup --first os (or --first store)"
	}),
	as(func(e *setup.NoStoreError, _ string) string { return storeHint(e) }),
	as(func(e *setup.OtherFileError, _ string) string {
		return "install -m 600 " + shellWord(e.Path) + " " + shellWord(e.Read) + " (then run setup without --config)"
	}),
	as(func(e *setup.ContradictionError, _ string) string {
		return "edit " + e.Path + ", then: shadowsync setup"
	}),
	as(func(e *setup.WrongStoreError, _ string) string {
		return "edit " + e.Config + " ([application.store]), then: shadowsync setup --restart"
	}),
	as(func(e *setup.MaskedError, command string) string { return e.Unmask() + " && " + command }),
	as(func(e *setup.StartError, _ string) string {
		return "systemctl status " + e.Unit + "; shadowsync status"
	}),
	as(func(*setup.WaitingError, string) string {
		return "shadowsync sync (or, to lose the changes: shadowsync remove --force)"
	}),
	as(func(*setup.PAMError, string) string { return "shadowsync doctor" }),
	as(func(e *hook.NotSettledError, _ string) string { return notSettledHint(e) }),
	as(func(*pendingError, string) string { return "shadowsync status" }),
	is(policy.ErrWeak, "choose another password, or: shadowsync user reset password NAME"),
	as(func(e *setup.LostError, _ string) string {
		return "cp -n " + shellWord(e.Kept) + " " + shellWord(e.Path)
	}),
	is(config.ErrNotFound, setupHint),
	as(faultHint),
	is(setup.ErrIncomplete, setupHint),
	is(errInterrupted, "shadowsync status"),
	is(shadowsync.ErrUnavailable, "shadowsync status"),
	is(shadowsync.ErrMalformed, "shadowsync doctor"),
	is(os.ErrPermission, "shadowsync doctor"),
}

// as makes a hint for errors of type E.
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

// stillHeldHint: the guard's file alone can be removed without room for the state, for one restart.
func stillHeldHint(e *stillHeldError) string {
	return fmt.Sprintf("make room on %s, then: shadowsync guard release %s (or, for one restart: rm %s && systemctl daemon-reload && systemctl restart %s)",
		engine.StateDir, e.unit, shellWord(systemd.GuardPath(e.unit)), shellWord(e.unit))
}

// undoHint: any command that takes the lock retries the undo.
func undoHint(e *backup.UndoError) string {
	if e.Damaged {
		return "shadowsync sync"
	}
	return "shadowsync restore " + shellWord(e.Kept)
}

func targetHint(e *targetError) string {
	if errors.Is(e.err, backup.ErrExists) {
		return "shadowsync backup " + shellWord(e.file+".new") + " (or, to replace what is there: shadowsync backup " + shellWord(e.file) + " --force)"
	}
	return "df -h " + shellWord(filepath.Dir(e.file))
}

const (
	setupHint = "shadowsync setup --unit UNIT --account NAME --store DRIVER KEY=VALUE..."
	// jsonStore describes the store of an appliance that keeps crypt(3) hashes in its own file.
	jsonStore = "--store json path=/var/lib/128technology/user-running.json users=/datastore/config/authority/router/0/user name=name password=password"
)

// storeHint shows the command with an appliance's file as the example.
func storeHint(e *setup.NoStoreError) string {
	if e.File != "" {
		return "write a table [application.store] with a driver into " + e.File + ", then: shadowsync setup"
	}
	return "for example: shadowsync setup --unit " + e.Unit + " --account " + strings.Join(e.Accounts, " ") + " " + jsonStore
}

// faultHint names the check, which shows the faulty line; after the check itself it opens the file
// there.
func faultHint(e *config.Fault, command string) string {
	switch {
	case command != checkHint:
		return checkHint
	case errors.Is(e, config.ErrOthersWrite):
		return "chown root " + e.File + " && chmod go-w " + e.File
	case errors.Is(e, inroot.ErrNotRegular), errors.Is(e, unix.ELOOP), errors.Is(e, config.ErrTooLarge):
		return "ls -la " + filepath.Dir(e.File) // an editor would follow a link, or block on a FIFO
	case e.Line > 0:
		return fmt.Sprintf("editor +%d %s", e.Line, e.File)
	}
	return "editor " + e.File
}

func notSettledHint(e *hook.NotSettledError) string {
	if e.Outcome.State == shadowsync.Conflict {
		return conflictHint(conflictOf(e.Outcome))
	}
	return "shadowsync sync " + e.Outcome.Account
}

// unseenHint: a password that was not shown is useless, so resetting it again loses nothing.
func unseenHint(e *unseenError) string {
	if len(e.accounts) > 5 {
		return "shadowsync user reset password --from FILE, with the accounts named above"
	}
	return "shadowsync user reset password " + strings.Join(e.accounts, " ")
}

// noTerminalHint is the same command with its input from elsewhere.
func noTerminalHint(command string) string {
	if strings.HasSuffix(command, " 2fa") {
		return command + " NAME --stdin"
	}
	return "shadowsync user set password NAME --stdin"
}

// conflictNames lists the accounts in a hint, or says NAME if they are too many.
func conflictNames(accounts []string) string {
	if len(accounts) > 5 {
		return "NAME"
	}
	return strings.Join(accounts, " ")
}

func conflictHint(e *conflictError) string {
	names := conflictNames(e.accounts)
	switch {
	case e.malformed:
		return "repair the store, then: shadowsync sync " + names
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
func (a *app) complain(c *cobra.Command, err error) {
	command := c.CommandPath()
	for _, text := range untold(err) {
		a.complaint("%s", cannot(command, text))
	}
	if hint := a.named(a.keeping(hintFor(err, command), c, err)); hint != "" {
		a.hint(hint)
	}
}

// cannot completes a reason that does not say which action failed.
func cannot(command, text string) string {
	if strings.HasPrefix(text, "cannot ") {
		return text
	}
	return "cannot run " + command + ": " + text
}

// untold returns the texts of errors that have not been printed yet.
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

// oneLine puts a text, or that of joined errors, on one line and escapes it.
func oneLine(text string) string {
	return printable.Quote(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
}
