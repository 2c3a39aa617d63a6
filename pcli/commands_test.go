package pcli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/pcli/console"
	"github.com/shadowsync/shadowsync/pcli/grammar"
)

// contract is the list of commands that operators rely on, with its wording.
var contract = []string{
	"set password", "create user [NAME]", "edit user [NAME]", "delete user [force] NAME",
	"show user [NAME|all]", "show user sessions [NAME", "show user activity [from T] [to T] [rows N] [NAME]",
	"show sync", "show history", "clear history", "disconnect user [force] NAME", "lock user NAME", "unlock user NAME",
	"expire password NAME", "help", "exit", "quit",
}

func TestContract(t *testing.T) {
	for _, want := range contract {
		if !slices.ContainsFunc(commands, func(c command) bool { return strings.HasPrefix(c.Usage(), want) }) {
			t.Errorf("there is no %q", want)
		}
	}
}

// The table is complete: every word has help, every reference exists, and the man page contains
// everything.
func TestTableIsWhole(t *testing.T) {
	page := strings.ReplaceAll(Man("1.2.3"), `\-`, "-")
	for _, table := range [][]command{commands, menuCommands} {
		for _, c := range table {
			if c.run == nil || c.Help == "" || strings.HasSuffix(c.Help, ".") {
				t.Errorf("%q: no function, or help %q", c.Words, c.Help)
			}
			for _, p := range c.Params {
				if p.Help == "" {
					t.Errorf("%q: %q has no help", c.Words, p.Name+p.Word)
				}
			}
			for _, see := range c.See {
				if !slices.ContainsFunc(table, func(d command) bool { return d.Words == see }) {
					t.Errorf("%q refers to %q", c.Words, see)
				}
			}
			if !strings.Contains(page, c.Usage()) {
				t.Errorf("%q is not in the man page", c.Usage())
			}
			first, _, more := strings.Cut(c.Words, " ")
			if more && groups[first] == "" {
				t.Errorf("%q has no help", first)
			}
		}
	}
}

// A user without permissions sees only the shell's own commands.
func TestNoRole(t *testing.T) {
	s := &Shell{}
	s.know(operator.Hello{})
	help, _ := s.top.Help("", nil)
	want := "  show   Show information; 'show ?' lists what there is\n  clear  Clear the history of this shell\n" +
		"  help   Show the commands, or how to use one\n  exit   Leave the shell\n  quit   Leave the shell\n"
	if help != want {
		t.Errorf("shown\n%s", help)
	}
}

func TestWords(t *testing.T) {
	tests := []struct {
		err    error
		text   string
		status int
	}{
		{&grammar.NotFoundError{Words: "bad"}, "Command 'bad' not found (use '?' for help)", 2},
		{operator.Errorf(operator.Policy, "too weak"), "% Error: too weak", 6},
		{operator.Errorf(operator.NotAuthenticated, "no"), "% Error: no", 7},
		{operator.Errorf(operator.NotPermitted, "no"), "% Error: no", 8},
		{operator.Errorf(operator.NoAccount, "no"), "% Error: no", 5},
		{operator.Errorf(operator.Conflict, "no"), "% Error: no", 4},
		{operator.Errorf(operator.Pending, "no"), "% Error: no", 3},
		{operator.Errorf(operator.Unavailable, "no"), "% Error: no", 9},
		{operator.Errorf("of a later version", "no"), "% Error: no", 1},
		{fmt.Errorf("%w: %w", operator.ErrUnknownOutcome, operator.Errorf(operator.Unavailable, "gone")), "% Error: shadowsync did not say whether the password was changed: at the next login try the new one, then the old one", 9},
		{console.ErrInterrupted, "Operation canceled", 130},
		{console.ErrTop, "Operation canceled", 130},
		{errDeclined, "Operation canceled", 1},
		{errMismatch, "% Error: the passwords do not match", 6},
		{console.ErrLongLine, "% Error: the line is too long", 2},
		{fmt.Errorf("something else"), "% Error: something else", 1},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			if text, status := words(tt.err); text != tt.text || status != tt.status {
				t.Errorf("%q, %d", text, status)
			}
		})
	}
}

func TestHistory(t *testing.T) {
	var h history
	for i := range keptLines + 10 {
		h.add(fmt.Sprintf("line %d", i+1))
	}
	h.add("  ")
	if h.Len() != keptLines || h.At(0) != "line 510" || !strings.HasPrefix(h.String(), "   11  line 11\n") {
		t.Errorf("%d lines, the newest %q, %.20q", h.Len(), h.At(0), h.String())
	}
	tests := []struct{ typed, want string }{
		{"!!", "line 510"},
		{"!! force", "line 510 force"},
		{" !11 ", "line 11"},
		{"!10", ""},
		{"!0", ""},
		{"!511", ""},
		{"!-1", "line 510"},
		{"!-500", "line 11"},
		{"!-501", ""},
		{"!line 4", "line 510 4"},
		{"!nothing", ""},
		{"!", "!"},
		{"no! event", "no! event"},
	}
	for _, tt := range tests {
		if got, err := h.recall(tt.typed); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%q recalls %q, %v; want %q", tt.typed, got, err, tt.want)
		}
	}
	h.clear()
	if _, err := h.recall("!!"); err == nil || h.Len() != 0 {
		t.Error("it still recalls something")
	}
}

func TestActivityOf(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	call, _, err := commandSet.Parse("show user activity from 1d to 45m rows 7 admin")
	if err != nil {
		t.Fatal(err)
	}
	got, err := activityOf(call, now)
	want := operator.Activity{From: now.AddDate(0, 0, -1), To: now.Add(-45 * time.Minute), Rows: 7, User: "admin"}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// The prompt is the appliance's, and without an asset it has no dot.
func TestPrompt(t *testing.T) {
	for asset, want := range map[string]string{"conductor": "joe@vm.conductor> ", "": "joe@vm> "} {
		s := &Shell{hello: operator.Hello{User: "joe", Node: "vm", Asset: asset}}
		if got := s.prompt(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
