package main

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestDemo plays the demo without a terminal.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("a machine test; -short leaves it out")
	}
	machine.Need(t)
	var out strings.Builder
	if err := run(t.Context(), &out, false); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, forbidden := range []string{"\x1b", "\r"} {
		if strings.Contains(out.String(), forbidden) {
			t.Errorf("on a pipe the demo prints %q", forbidden)
		}
	}
	for _, a := range script {
		for _, s := range a.steps {
			if !strings.Contains(out.String(), "# "+s.command+"\n") {
				t.Errorf("the demo does not show %q as it is typed", s.command)
			}
		}
	}
}

// TestCheck: a result that differs from the script's claim fails the demo.
func TestCheck(t *testing.T) {
	works := step{command: "passwd admin", shows: []string{"updated", "persisted"}}
	refused := step{command: login, fails: true, shows: []string{"Permission denied"}}
	for _, test := range []struct {
		name   string
		step   step
		output string
		code   int
		want   bool
	}{
		{"as claimed", works, "persisted\nupdated\n", 0, true},
		{"a text is missing", works, "updated\n", 0, false},
		{"the status is another", works, "persisted\nupdated\n", 1, false},
		{"a refusal", refused, "Permission denied\n", 255, true},
		{"no refusal", refused, "admin\n", 0, false},
		{"another failure", refused, "Connection refused\n", 255, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.step.check(test.output, test.code); (err == nil) != test.want {
				t.Errorf("check = %v, want it to pass: %v", err, test.want)
			}
		})
	}
}

func TestOnScreen(t *testing.T) {
	for text, want := range map[string]string{
		"plain\r\n":                                   "plain\n",
		"Setting up ...\r\x1b[Kdone\r\nnext\r\n":      "done\nnext\n",
		"one ...\r\x1b[Ktwo ...\r\x1b[Kthree\r\n":     "three\n",
		"\radmin@localhost's password: \r\nadmin\r\n": "admin@localhost's password: \nadmin\n",
	} {
		if got := onScreen(text); got != want {
			t.Errorf("onScreen(%q) = %q, want %q", text, got, want)
		}
	}
}
