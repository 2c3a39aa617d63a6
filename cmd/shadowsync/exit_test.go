package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestStatusAndHint goes through every error a command may end with, wrapped as it comes.
func TestStatusAndHint(t *testing.T) {
	both := []shadowsync.Side{shadowsync.OSSide, shadowsync.StoreSide}
	for name, tc := range map[string]struct {
		err    error
		status int
		hint   string
	}{
		"nothing":          {nil, 0, ""},
		"anything":         {errors.New("x"), 1, ""},
		"usage":            {&usage{errors.New("x"), "shadowsync sync"}, 2, "shadowsync sync --help"},
		"mistyped":         {&similarError{&usage{errors.New("x"), "shadowsync"}, "shadowsync status"}, 2, "shadowsync status"},
		"pending":          {told(&pendingError{[]string{"admin"}}), 3, "shadowsync status"},
		"conflict":         {told(&conflictError{accounts: []string{"admin"}, choices: both}), 4, "shadowsync sync admin --prefer os (or --prefer store)"},
		"one choice":       {&conflictError{accounts: []string{"admin"}, choices: both[:1]}, 4, "shadowsync sync admin --prefer os"},
		"no choice":        {&conflictError{accounts: []string{"admin"}}, 4, "shadowsync user set password admin"},
		"nothing for all":  {&conflictError{accounts: []string{"admin", "b"}}, 4, "shadowsync status"},
		"not to be read":   {&conflictError{accounts: []string{"admin"}, malformed: true}, 4, "mend the store, then: shadowsync sync admin"},
		"refused":          {&conflictError{accounts: []string{"admin"}, refused: true}, 4, "shadowsync user set password admin"},
		"conflict, others": {errors.Join(&pendingError{}, &conflictError{accounts: []string{"a"}, choices: both}), 4, "shadowsync sync a --prefer os (or --prefer store)"},
		"no account":       {&noAccountError{"x"}, 5, "shadowsync user list"},
		"no unit":          {&noUnitError{"x"}, 5, "shadowsync guard status"},
		"too long":         {crypt.ErrTokenTooLong, 6, ""},
		"not root":         {notRootError{}, 8, "sudo shadowsync status"},
		"unavailable":      {shadowsync.ErrUnavailable, 9, "shadowsync status"},
		"too slow":         {context.DeadlineExceeded, 9, ""},
		"interrupted":      {mark(errors.New("interrupted"), errInterrupted), 130, "shadowsync status"},
		"no configuration": {config.ErrNotFound, 1, "shadowsync setup --unit UNIT --account NAME"},
		"guard":            {&guardPendingError{unit: "u.service"}, 1, "shadowsync guard release u.service --force"},
		"newer state":      {&state.NewerError{}, 1, "install the shadowsync that wrote it, or a newer one"},
		"malformed":        {shadowsync.ErrMalformed, 1, "shadowsync doctor"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.err
			if err != nil {
				err = errors.Join(fmt.Errorf("cannot do it: %w", err))
			}
			if got := exitStatus(err); got != tc.status {
				t.Errorf("status %d, want %d", got, tc.status)
			}
			if got := hintFor(err, "shadowsync status"); err != nil && got != tc.hint {
				t.Errorf("hint %q, want %q", got, tc.hint)
			}
		})
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
	a.complain("shadowsync status", errors.Join(told(&pendingError{[]string{"admin"}}), foreign))
	want := "shadowsync: cannot read \\x1b[2Jx; shadowsync: all is well\nhint: shadowsync status\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestHintNeverRepeatsArguments: a password may be among them.
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
	if got := out.String(); strings.Contains(got, "s3cret") || !strings.Contains(got, "hint: sudo shadowsync user set password\n") {
		t.Errorf("it says:\n%s", got)
	}
}

func TestMistypedCommands(t *testing.T) {
	for line, want := range map[string]string{
		"":                      "a command is missing",
		"stats":                 "hint: shadowsync status",
		"user lst":              "hint: shadowsync user list",
		"user set":              "a command is missing",
		"status x":              "accepts 0 arg",
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

func TestEveryHelpPagePrintsTheExitStatus(t *testing.T) {
	for _, line := range []string{"--help", "status --help", "user set password --help"} {
		if r := execute(t, t.Context(), "", strings.Fields(line)...); r.status != 0 || !strings.Contains(r.out, exitHelp()) {
			t.Errorf("%s: status %d:\n%s", line, r.status, r.out)
		}
	}
}

// TestErrorsSayCannot: what fails says so in the contract's form, whoever found the fault.
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
