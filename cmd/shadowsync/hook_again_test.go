package main

import "testing"

// A second try runs unless the first one was the program's own decision.
func TestASecondTryOnlyWhereNothingWasDecided(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first   attempt
		decided bool
		says    string
	}{
		{attempt{"u", "exit-code", "226"}, false, "u failed (exit-code, status 226)"}, // no namespace
		{attempt{"u", "exit-code", "203"}, false, "u failed (exit-code, status 203)"}, // no program
		{attempt{"u", "exit-code", "2"}, false, "u failed (exit-code, status 2)"},     // a panic
		{attempt{"u", "exit-code", "1"}, true, "u failed (exit-code, status 1)"},
		{attempt{"u", "exit-code", "9"}, true, "u failed (exit-code, status 9)"},
		{attempt{"u", "timeout", "TERM"}, false, "u failed (timeout, status TERM)"},
		{attempt{"u", "timeout", "130"}, false, "u failed (timeout, status 130)"},
		{attempt{"u", "oom-kill", "KILL"}, false, "u failed (oom-kill, status KILL)"},
		{attempt{"u", "resources", ""}, false, "u failed (resources)"},
		{attempt{}, false, "the hook's unit failed"}, // systemd before 251
	} {
		if err := c.first.decided(); (err != nil) != c.decided {
			t.Errorf("%s: %v", c.first, err)
		}
		if said := c.first.String(); said != c.says {
			t.Errorf("says %q, want %q", said, c.says)
		}
	}
}
