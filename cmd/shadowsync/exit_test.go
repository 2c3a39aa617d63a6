package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine/hook"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/state/backup"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// hintCase is an error that a command may end with, and what is said of it.
type hintCase struct {
	err    error
	status int
	hint   string
}

// hintCases has every kind of error that a command may end with.
func hintCases() map[string]hintCase {
	both := []shadowsync.Side{shadowsync.OSSide, shadowsync.StoreSide}
	return map[string]hintCase{
		"nothing":           {nil, 0, ""},
		"anything":          {errors.New("x"), 1, ""},
		"usage":             {&usage{errors.New("x"), "shadowsync sync"}, 2, "shadowsync sync --help"},
		"mistyped":          {&similarError{&usage{errors.New("x"), "shadowsync"}, "shadowsync status"}, 2, "shadowsync status"},
		"pending":           {told(&pendingError{[]string{"admin"}}), 3, "shadowsync status"},
		"conflict":          {told(&conflictError{accounts: []string{"admin"}, choices: both}), 4, "shadowsync sync admin --prefer os (or --prefer store)"},
		"one choice":        {&conflictError{accounts: []string{"admin"}, choices: both[:1]}, 4, "shadowsync sync admin --prefer os"},
		"no choice":         {&conflictError{accounts: []string{"admin"}}, 4, "shadowsync user set password admin"},
		"nothing for all":   {&conflictError{accounts: []string{"admin", "b"}}, 4, "shadowsync status"},
		"not to be read":    {&conflictError{accounts: []string{"admin"}, malformed: true}, 4, "repair the store, then: shadowsync sync admin"},
		"refused":           {&conflictError{accounts: []string{"admin"}, refused: true}, 4, "shadowsync user set password admin"},
		"conflict, others":  {errors.Join(&pendingError{}, &conflictError{accounts: []string{"a"}, choices: both}), 4, "shadowsync sync a --prefer os (or --prefer store)"},
		"no account":        {&config.UnmanagedError{Account: "x"}, 5, "shadowsync user list"},
		"no application":    {&noApplicationError{"x"}, 5, "shadowsync status"},
		"its name":          {&applicationNameError{&config.UnmanagedError{Account: "x"}, "x"}, 5, "shadowsync status --application x"},
		"no unit":           {&noUnitError{"x"}, 5, "shadowsync guard status"},
		"too long":          {crypt.ErrTokenTooLong, 6, ""},
		"not root":          {notRootError{}, 8, "sudo shadowsync status"},
		"unavailable":       {shadowsync.ErrUnavailable, 9, "shadowsync status"},
		"too slow":          {context.DeadlineExceeded, 9, ""},
		"interrupted":       {mark(errors.New("interrupted"), errInterrupted), 130, "shadowsync status"},
		"no configuration":  {config.ErrNotFound, 1, setupHint},
		"still held":        {&stillHeldError{"u.service", errors.New("x")}, 1, "make room on /var/lib/shadowsync/state, then: shadowsync guard release u.service (or, for one restart: rm /run/systemd/system/u.service.d/90-shadowsync-guard.conf && systemctl daemon-reload && systemctl restart u.service)"},
		"guard":             {&guardPendingError{unit: "u.service"}, 1, "shadowsync sync (or, if a restart may undo the changes: shadowsync guard release u.service --force)"},
		"damaged state":     {&state.DamagedError{}, 1, "shadowsync doctor --fix"},
		"newer state":       {&state.NewerError{}, 1, "install the shadowsync that wrote it, or a newer one"},
		"malformed":         {shadowsync.ErrMalformed, 1, "shadowsync doctor"},
		"not permitted":     {os.ErrPermission, 8, "shadowsync doctor"},
		"no system":         {&notSystemError{root: "/x"}, 2, "findmnt --real lists where file systems are mounted; name the folder that holds etc/passwd"},
		"held":              {&heldError{accounts: []string{"a"}}, 4, "shadowsync sync a --prefer os (or --prefer store; for the backup's value: shadowsync history restore a 1)"},
		"backup is there":   {&targetError{"/f", backup.ErrExists}, 1, "shadowsync backup /f.new (or, to replace what is there: shadowsync backup /f --force)"},
		"weak passphrase":   {&weakPassphraseError{"short"}, 6, "choose a longer one, or: shadowsync backup FILE --recipient age1..."},
		"no passphrase":     {&noPassphraseError{"backup", errors.New("x")}, 1, "shadowsync backup --stdin < FILE"},
		"other seal":        {&sealError{hint: "x"}, 1, "x"},
		"half restored":     {&backup.UndoError{Kept: "/kept", Err: errors.New("x")}, 1, "shadowsync restore /kept"},
		"half, no way back": {&backup.UndoError{Kept: "/kept", Damaged: true, Err: errors.New("x")}, 1, "shadowsync sync"},
		"others may write":  {&rootonly.Error{Path: "/p", Why: "x"}, 1, "ls -ld /p"},
		"no backup":         {&sourceError{"/a/b", errors.New("x")}, 1, "ls -l /a"},
		"no store":          {&setup.NoStoreError{File: "/c.toml"}, 2, "write a table [application.store] with a driver into /c.toml, then: shadowsync setup"},
		"of a directory":    {&directory.OwnedError{Account: "anna", Service: "sss"}, 8, "shadowsync user show anna"},
		"bad line":          {&shadowfile.BadLineError{Account: "admin", Line: 3}, 5, "vipw -s"},
		"unseen codes":      {&unseenCodesError{"admin"}, 1, "shadowsync user renew 2fa codes admin"},
		"half reset":        {&halfResetError{[]string{"admin"}}, 1, "shadowsync user reset 2fa local admin"},
		"no factor":         {&factorError{subject: factor.Subject{Realm: factor.Local, Account: "admin"}, err: factor.ErrNotEnrolled}, 1, "shadowsync user enrol 2fa admin"},
		"used code":         {&factorError{subject: factor.Subject{Realm: factor.Local, Account: "admin"}, err: factor.ErrUsed}, 7, "shadowsync user show admin"},
		"bad address":       {&factorError{subject: factor.Subject{Realm: factor.Local, Account: "admin"}, err: factor.ErrAddress}, 2, "shadowsync user set mail admin NAME@DOMAIN"},
		"unseen":            {&unseenError{[]string{"admin"}}, 1, "shadowsync user reset password admin"},
		"no terminal":       {&noTerminalError{os.ErrNotExist}, 1, "shadowsync user set password NAME --stdin"},
		"no password":       {&bulk.NoPasswordError{Account: "admin"}, 6, "shadowsync user reset password admin --unlock"},
		"no entry":          {&bulk.NoEntryError{Account: "admin"}, 1, "shadowsync history admin"},
		"unwritable state":  {errors.Join(&state.UnwritableError{}, shadowsync.ErrUnavailable), 9, "shadowsync doctor"},
		"broken chain":      {&state.ChainError{}, 1, "compare with the journal: journalctl SYSLOG_IDENTIFIER=shadowsync"},
		"first difference":  {&setup.FirstDifferenceError{}, 4, "shadowsync setup --first os (or --first store)"},
		"contradiction":     {&setup.ContradictionError{Path: "/c.toml"}, 1, "edit /c.toml, then: shadowsync setup"},
		"other file":        {&setup.OtherFileError{Path: "/c.toml", Read: "/etc/d.toml"}, 1, "install -m 600 /c.toml /etc/d.toml (then run setup without --config)"},
		"waiting":           {&setup.WaitingError{}, 3, "shadowsync sync (or, to lose the changes: shadowsync remove --force)"},
		"PAM":               {&setup.PAMError{Fault: errors.New("x")}, 1, "shadowsync doctor"},
		"not settled":       {&hook.NotSettledError{Outcome: shadowsync.Outcome{Account: "admin"}}, 1, "shadowsync sync admin"},
		"wrong store":       {&setup.WrongStoreError{Config: "/c.toml"}, 1, "edit /c.toml ([application.store]), then: shadowsync setup --restart"},
		"masked":            {&setup.MaskedError{Root: "/", Unit: "u.service"}, 1, "systemctl unmask u.service && shadowsync status"},
		"start unseen":      {&setup.StartError{Unit: "u.service"}, 1, "systemctl status u.service; shadowsync status"},
		"weak":              {policy.ErrWeak, 6, "choose another password, or: shadowsync user reset password NAME"},
		"incomplete":        {setup.ErrIncomplete, 2, setupHint},
		"file lost":         {&setup.LostError{Path: "/c.toml", Kept: "/kept"}, 1, "cp -n /kept /c.toml"},
		"bad file":          {&config.Fault{File: "/c.toml", Err: errors.New("x")}, 1, "shadowsync config check"},
	}
}

// TestStatusAndHint checks every error that a command may end with, wrapped as in real use.
func TestStatusAndHint(t *testing.T) {
	answers := map[int]bool{}
	for name, tc := range hintCases() {
		t.Run(name, func(t *testing.T) {
			err := tc.err
			if err != nil {
				err = errors.Join(fmt.Errorf("cannot do it: %w", err))
				answers[firstHint(err)] = true
				isCommand(t, tc.hint)
			}
			if got := exitStatus(err); got != tc.status {
				t.Errorf("status %d, want %d", got, tc.status)
			}
			if got := hintFor(err, "shadowsync status"); err != nil && got != tc.hint {
				t.Errorf("hint %q, want %q", got, tc.hint)
			}
		})
	}
	for i := range hints {
		if !answers[i] {
			t.Errorf("hint %d of the table is not tried: give an error that it answers", i)
		}
	}
}

// firstHint is the index of the first hint that matches, or -1.
func firstHint(err error) int {
	return slices.IndexFunc(hints, func(hint func(error, string) string) bool { return hint(err, "shadowsync status") != "" })
}

// isCommand checks that every command of our own tool in a hint exists and knows its flags.
func isCommand(t *testing.T, hint string) {
	t.Helper()
	for _, part := range strings.Split(hint, "shadowsync ")[1:] {
		part, _, _ = strings.Cut(part, "(")
		if part, _, _ = strings.Cut(part, ")"); part == "that wrote it, or a newer one" || strings.HasPrefix(part, "sync persists it") {
			continue
		}
		command, words, err := newRoot(newApp(nil, nil, nil)).Find(strings.Fields(part))
		if err != nil || command.HasSubCommands() && command.Name() != "history" {
			t.Errorf("%q is no command: %v", part, err)
			continue
		}
		command.InitDefaultHelpFlag()
		if err := command.ParseFlags(words); err != nil && !strings.Contains(err.Error(), "help") {
			t.Errorf("%q: %v", part, err)
		}
	}
}

func TestExitHelpListsEveryStatus(t *testing.T) {
	for _, e := range exits {
		if line := fmt.Sprintf("\n  %-4d %s\n", e.status, e.means); !strings.Contains(exitHelp(), line) {
			t.Errorf("the help lacks %q:\n%s", line, exitHelp())
		}
	}
}

func TestComplainIsHarmlessAndTellsOnce(t *testing.T) {
	var out bytes.Buffer
	a := &app{err: &out}
	foreign := errors.New("cannot read \x1b[2Jx\nshadowsync: all is well")
	c, _, err := newRoot(a).Find([]string{"status"})
	if err != nil {
		t.Fatal(err)
	}
	a.complain(c, errors.Join(told(&pendingError{[]string{"admin"}}), foreign))
	want := "shadowsync: cannot read \\x1b[2Jx; shadowsync: all is well\nhint: shadowsync status\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestHintNeverRepeatsArguments: the arguments may contain a password.
func TestHintNeverRepeatsArguments(t *testing.T) {
	var out bytes.Buffer
	a := newApp(nil, &out, &out)
	a.uid = 1000
	root := newRoot(a)
	root.SetArgs([]string{"user", "set", "password", "admin", "s3cret"})
	command, err := root.ExecuteContextC(t.Context())
	if status := a.finish(t.Context(), command, err); status != 8 {
		t.Errorf("status %d", status)
	}
	if got := out.String(); strings.Contains(got, "s3cret") || !strings.Contains(got, "hint: sudo shadowsync user set password NAME\n") {
		t.Errorf("it says:\n%s", got)
	}
}

func TestMistypedCommands(t *testing.T) {
	for line, want := range map[string]string{
		"":                      "a command is missing",
		"stats":                 "hint: shadowsync status",
		"user lst":              "hint: shadowsync user list",
		"user set":              "a command is missing",
		"guard status x y":      "accepts at most 1 arg",
		"status --bogus":        "unknown flag",
		"user show":             "accepts 1 arg",
		"history restore admin": "accepts 2 arg",
		"audit --since":         "needs an argument",
		"hook pre-start":        "--unit is missing",
	} {
		t.Run(line, func(t *testing.T) {
			r := execute(t, t.Context(), "", strings.Fields(line)...)
			if r.status != 2 || !strings.Contains(r.err, want) {
				t.Errorf("status %d, it says:\n%s", r.status, r.err)
			}
		})
	}
}

// TestWordsInAnotherOrder: the right words in the wrong order give the command as a hint, with the
// named accounts but without any word that may be a password.
func TestWordsInAnotherOrder(t *testing.T) {
	s := newSystem(t)
	for line, want := range map[string]string{
		"set password admin":             "user set password admin",
		"set password admin S3cret-word": "user set password admin",
		"set password admin --stdin":     "user set password admin",
		"password set admin":             "user set password admin",
		"password admin set":             "",
		"passwd set admin":               "user set password admin",
		"change password admin":          "user set password admin",
		"user password set admin":        "user set password admin",
		"user password reset admin":      "user reset password admin",
		"password user set admin":        "user set password admin",
		"reset password admin user222":   "user reset password admin user222",
		"expire password S3cret-word":    "user expire password NAME",
		"set password":                   "user set password NAME",
		"lock admin":                     "user lock admin",
		"unlock user admin":              "user unlock admin",
		"show admin":                     "user show admin",
		"sessions admin S3cret-word":     "user sessions admin",
		"logout admin":                   "user logout admin",
		"list users":                     "user list",
		"users list":                     "user list",
		"hold guard":                     "guard hold",
		"check config":                   "config check",
		"S3cret-word admin":              "",
	} {
		t.Run(line, func(t *testing.T) {
			r := s.run("", strings.Fields(line)...)
			if hint := "hint: " + s.ours(want) + "\n"; r.status != 2 || want != "" && !strings.Contains(r.err, hint) || strings.Contains(r.err, "S3cret") {
				t.Errorf("status %d, it says:\n%s", r.status, r.err)
			}
			if want != "" {
				command, _, err := newRoot(newApp(nil, nil, nil)).Find(strings.Fields(want))
				if err != nil || command.HasSubCommands() {
					t.Errorf("the hint is no command: %v", err)
				}
			}
		})
	}
	for line, want := range map[string]string{
		"add user":          "pcli -c 'create user NAME'",
		"add user newcomer": "pcli -c 'create user NAME'",
		"user create x":     "pcli -c 'create user NAME'",
		"delete user root":  "pcli -c 'delete user root'",
		"edit user":         "pcli -c 'edit user NAME'",
	} {
		if r := execute(t, t.Context(), "", strings.Fields(line)...); r.status != 2 || !strings.Contains(r.err, "hint: "+want+"\n") {
			t.Errorf("%s: status %d, it says:\n%s", line, r.status, r.err)
		}
	}
}

func TestEveryHelpPagePrintsTheExitStatus(t *testing.T) {
	for _, line := range []string{"--help", "status --help", "user set password --help"} {
		if r := execute(t, t.Context(), "", strings.Fields(line)...); r.status != 0 || !strings.Contains(r.out, exitHelp()) {
			t.Errorf("%s: status %d:\n%s", line, r.status, r.out)
		}
	}
}

// TestErrorsSayCannot: every failure is reported in the contract's form, wherever it was found.
func TestErrorsSayCannot(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	for _, line := range []string{
		"user show ghost", "user lock ghost", "user set password ghost x", "user set password admin", "user reset password admin ghost", "sync ghost", "history ghost",
		"history restore admin 9", "guard status ghost.service", "guard hold", "user sessions admin", "user logout admin", "doctor", "setup",
		"hook pre-start --unit ghost.service", "restore /nothing --identity /nothing", "backup /nothing/file --stdin", "audit --since never", "user lock --from /nothing", "stats",
		"--config /nothing status", "--root /etc/passwd status", "--root /nothing status",
	} {
		t.Run(line, func(t *testing.T) {
			r := s.run("", strings.Fields(line)...)
			if r.status == 0 || r.err == "" {
				t.Fatalf("status %d, it says %q", r.status, r.err)
			}
			for text := range strings.Lines(r.err) {
				if !regexp.MustCompile("^(shadowsync: (cannot .*: .|warning: |reset password: 2 accounts)|hint: .)").MatchString(text) {
					t.Errorf("it says %q", text)
				}
			}
		})
	}
	s.usermod("admin", s.hash("root's"))
	s.setStore("admin", s.hash("application's"))
	if r := s.must(4, "--quiet", "sync"); !strings.HasPrefix(r.err, "shadowsync: cannot bring OS and store together: conflict: admin\nhint: ") {
		t.Errorf("it says:\n%s", r.err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := execute(t, ctx, "", "--root", "/nonexistent", "status")
	if r.status != 130 || !strings.HasPrefix(r.err, "shadowsync: cannot finish: interrupted\nhint: ") {
		t.Errorf("status %d, it says:\n%s", r.status, r.err)
	}
}
