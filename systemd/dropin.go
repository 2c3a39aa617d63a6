package systemd

import (
	"fmt"
	"path/filepath"
	"strings"
)

// StartPolicy says what happens to the application if the merge before its start fails.
type StartPolicy string

// The policies. An appliance that stays down because of a password is usually worse.
const (
	PolicyStart  StartPolicy = "start"  // it starts anyway
	PolicyRefuse StartPolicy = "refuse" // its start fails
)

// DropInPath is the path of an application's hooks below the folder etc (normally "/etc").
func DropInPath(etc, unit string) string {
	return filepath.Join(etc, "systemd/system", unit+".d", "50-shadowsync.conf")
}

// Jobs are the job modes in which a unit starts the units of its OnSuccess= and OnFailure=:
// OnSuccessJobMode= and OnFailureJobMode= in systemd.unit(5).
type Jobs struct{ Success, Failure string }

// TakesOurs reports whether our unit may be in such a list. With "isolate", systemd refuses a list
// of two units, and our unit alone would stop everything else. "flush" would cancel the start of
// the application that waits for our unit.
func TakesOurs(mode string) bool { return mode != "isolate" && mode != "flush" }

// DropIn is the text of the drop-in that adds our hooks to an application's unit.
//
// It has only a [Unit] section: if our program were in the application's unit, it would run with
// that unit's environment, root directory and cgroup, even with the prefix "+" that makes it root
// (systemd.exec(5)). Each of our programs has its own unit.
//
// shadowsync-start@ runs before each start: an ExecStartPre= in a drop-in would run after the
// application's own, which may already rewrite the OS. OnSuccess= and OnFailure= start
// shadowsync-stopped@ when no process of the application is left that could write its memory, which
// is later than ExecStopPost=.
func DropIn(policy StartPolicy, jobs Jobs) (string, error) {
	pull, ok := map[StartPolicy]string{PolicyStart: "Wants", PolicyRefuse: "Requires"}[policy]
	if !ok {
		return "", fmt.Errorf("unknown policy for starts %q: use %q or %q", policy, PolicyStart, PolicyRefuse)
	}
	text := fmt.Sprintf(dropIn, pull)
	if TakesOurs(jobs.Success) {
		text += "OnSuccess=shadowsync-stopped@%N.service\n"
	}
	if TakesOurs(jobs.Failure) {
		text += "OnFailure=shadowsync-stopped@%N.service\n"
	}
	return text, nil
}

const dropIn = `# Written by "shadowsync setup"; "shadowsync remove" takes it away again.
# Passwords changed on this machine reach the application's credential store before
# it starts, and are put right again after it started or stopped.
[Unit]
%[1]s=shadowsync-start@%%N.service
After=shadowsync-start@%%N.service
`

// RunsInside reports whether a drop-in is from an old version of shadowsync, which ran our program
// as root inside the application's unit.
func RunsInside(text string) bool {
	return strings.Contains(text, "\nExecStartPost=") || strings.Contains(text, "\nExecStopPost=")
}

// HookUnits returns our units for an application's unit, in the order in which they run: before its
// start, while it settles, after its stop. The second try at a hook follows the first.
func HookUnits(unit string) []string {
	return []string{StartUnit(unit), RetryUnit(unit), SettleUnit(unit), StoppedUnit(unit), RecheckUnit(unit)}
}

// StartUnit is the unit that runs before each start of an application's unit.
func StartUnit(unit string) string { return instance("start", unit) }

// RetryUnit is the unit that runs before a start if StartUnit has failed.
func RetryUnit(unit string) string { return instance("retry", unit) }

// SettleUnit is the unit that watches an application after its start.
func SettleUnit(unit string) string { return instance("settle", unit) }

// StoppedUnit is the unit that runs after each stop of an application's unit.
func StoppedUnit(unit string) string { return instance("stopped", unit) }

// RecheckUnit is the unit that runs after a stop if StoppedUnit has failed.
func RecheckUnit(unit string) string { return instance("recheck", unit) }

// instance is what systemd makes of "shadowsync-KIND@%N.service" in a unit: %N is the unit's name
// without the type, with its escapes.
func instance(kind, unit string) string {
	return "shadowsync-" + kind + "@" + strings.TrimSuffix(unit, ".service") + ".service"
}
