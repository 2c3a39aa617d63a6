package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rows is the file with the table of errors on a machine whose hints are run there.
const rows = "internal/test/scenes/hints_test.go"

// followed says for each case of hintCases where its hint is run in the state that brings it up:
// in the row of that name of the table in the file rows, or by another test, as FILE:FUNCTION or
// FILE:ROW. See unfollowed for the rest.
var followed = map[string]string{
	"mistyped": rows, "usage": rows, "not root": rows, "no account": rows, "no unit": rows, "no entry": rows,
	"no application": rows, "its name": rows,
	"no terminal": rows, "weak": rows, "no password": rows, "bad line": rows, "not permitted": rows,
	"backup is there": rows, "weak passphrase": rows, "no passphrase": rows, "no backup": rows, "others may write": rows,
	"other seal": rows, "pending": rows, "waiting": rows, "masked": rows, "other file": rows, "unwritable state": rows, "not to be read": rows, "contradiction": rows, "bad file": rows,
	"file lost": rows, "broken chain": rows, "conflict": rows, "refused": rows,

	"no factor":    "cmd/shadowsync/factor_test.go:TestSecondFactor",
	"unseen codes": "cmd/shadowsync/factor_test.go:TestSecondFactor", // the same command
	"used code":    "cmd/shadowsync/factor_test.go:TestSecondFactor",
	"bad address":  "cmd/shadowsync/factor_test.go:TestResetOfASecondFactor",

	"one choice":       rows + ":conflict", // the same command
	"conflict, others": rows + ":conflict",
	"no choice":        rows + ":refused",
	"nothing for all":  rows + ":pending",
	"unseen":           rows + ":weak", // the same command; TestUnshown brings it up
	"interrupted":      rows + ":pending",
	"half reset":       "cmd/shadowsync/factor_test.go:TestResetOfASecondFactor", // the same command
	"guard":            "internal/test/scenes/guard_test.go:releaseOfPending",
	"still held":       "internal/test/scenes/notes_test.go:TestStateDamaged",
	"damaged state":    "internal/test/scenes/notes_test.go:TestStateDamaged",
	"held":             "cmd/shadowsync/backup_test.go:TestRestoreElsewhere",
	"first difference": "cmd/shadowsync/setup_test.go:TestSetupStopsAtADifference",
	"no configuration": "internal/admin/setup/restart_machine_test.go:TestAWatchedStart",
	"incomplete":       "internal/admin/setup/restart_machine_test.go:TestAWatchedStart",
	"wrong store":      "internal/admin/setup/restart_machine_test.go:TestAWatchedStart",
	"start unseen":     "internal/admin/setup/restart_machine_test.go:TestAWatchedStart",
	"not settled":      "internal/test/scenes/reboot_test.go:startRefused",
	"of a directory":   "internal/test/scenes/directory_test.go:rights",
	"unavailable":      "cmd/shadowsync/naming_test.go:TestHintsActOnTheirSystem",
	"malformed":        "cmd/shadowsync/naming_test.go:TestHintsActOnTheirSystem",
	// The state after a restore that could not be undone is not made by any test; the folder that
	// the hint names is restored after each restore that was killed.
	"half restored": "internal/test/scenes/restore_test.go:restoresThoughKilled",
}

// unfollowed are hints that no test can run, and why.
var unfollowed = map[string]string{
	"newer state":       "it names no command: another version must be installed",
	"no system":         "findmnt(8) only lists; a person must choose the folder",
	"no store":          "an example, or what to write into a file",
	"PAM":               "doctor only looks; its own tests break each PAM stack and run what it names",
	"half, no way back": "no test makes a restore fail in a way that also takes what was kept",
}

// TestEveryHintIsFollowed: a hint that is added needs a test that runs its command.
func TestEveryHintIsFollowed(t *testing.T) {
	cases := hintCases()
	for name, c := range cases {
		where, runs := followed[name]
		_, not := unfollowed[name]
		switch {
		case c.hint == "" && (runs || not):
			t.Errorf("%s has no hint", name)
		case c.hint != "" && runs == not:
			t.Errorf("%s: add the test that runs this hint, to one of the two lists: %s", name, c.hint)
		case runs:
			inTest(t, name, where)
		}
	}
	for _, list := range []map[string]string{followed, unfollowed} {
		for name := range list {
			if _, there := cases[name]; !there {
				t.Errorf("there is no case %q", name)
			}
		}
	}
}

// inTest checks that the test exists.
func inTest(t *testing.T, name, where string) {
	t.Helper()
	file, part, other := strings.Cut(where, ":")
	if !other {
		part = name
	}
	text, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"func " + part + "(t", ") " + part + "() {", `name: "` + part + `"`, `s.sub("` + part + `"`} {
		if strings.Contains(string(text), mark) {
			return
		}
	}
	t.Errorf("%s: %s has no %s", name, file, part)
}
