package doctor

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestAssessWaiting(t *testing.T) {
	t.Parallel()
	const sets = "shadowsync user set password "
	for name, tc := range map[string]struct {
		states  []shadowsync.ChangeState // of the accounts a, b, c …
		state   State
		detail  string
		command string
	}{
		"none":     {nil, OK, "", ""},
		"unproven": {[]shadowsync.ChangeState{shadowsync.Unproven, shadowsync.Unproven}, OK, "", ""},
		"one waits": {
			[]shadowsync.ChangeState{shadowsync.Unproven, shadowsync.NeedsLogin},
			Warn,
			"app's store takes no hash that can be made of the OS's: it waits for the next login or password change of b; a person has to set the password, or wait",
			sets + "b",
		},
		"another password": {
			[]shadowsync.ChangeState{shadowsync.Changed},
			Warn,
			"app has another password than the OS for a; a person has to set one for both",
			sets + "a",
		},
		"many": {
			[]shadowsync.ChangeState{"changed", "changed", "changed", "changed", "changed", "changed", "changed"},
			Warn,
			"app has another password than the OS for a, b, c, d, e and 2 more; a person has to set one for both",
			sets + "a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := config.Application{Name: "app"}
			memory := shadowsync.Memory{Accounts: map[string]shadowsync.AccountMemory{}}
			for i, state := range tc.states {
				account := string(rune('a' + i))
				a.Accounts = append(a.Accounts, account)
				memory.Accounts[account] = shadowsync.AccountMemory{Open: &shadowsync.Change{State: state}}
			}
			got := assessWaiting(a, memory)
			if got.state != tc.state || got.detail != tc.detail || got.command != tc.command {
				t.Errorf("got %s %q, %q", got.state, got.detail, got.command)
			}
		})
	}
}
