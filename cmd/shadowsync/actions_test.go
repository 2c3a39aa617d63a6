package main

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Every verdict that the audit may list is explained in its help.
func TestActionsAreExplained(t *testing.T) {
	s := newSystem(t)
	help := s.must(0, "audit", "--help").out
	for _, v := range []shadowsync.Verdict{
		shadowsync.VerdictAgree, shadowsync.VerdictBaseline, shadowsync.VerdictApply, shadowsync.VerdictRenew, shadowsync.VerdictAdopt,
		shadowsync.VerdictAdoptAgain, shadowsync.VerdictRollback, shadowsync.VerdictPending, shadowsync.VerdictNeedsLogin,
		shadowsync.VerdictMissing, shadowsync.VerdictRefused, shadowsync.VerdictConflict, "attributed", "preferred",
	} {
		if !strings.Contains(help, "\n  "+string(v)+" ") {
			t.Errorf("%s is not explained in\n%s", v, help)
		}
	}
	for line := range strings.Lines(actionsHelp()) {
		if len(strings.TrimSuffix(line, "\n")) > 88 {
			t.Errorf("too wide: %q", line)
		}
	}
}
