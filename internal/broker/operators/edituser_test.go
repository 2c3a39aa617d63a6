package operators

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/account/accountworker"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// The shell that an account has before pcli is on record before pcli is its shell: here no worker can be started
// that would give it. pcli itself is nothing to go back to.
func TestFormerShellIsNoted(t *testing.T) {
	const pcli = "/usr/bin/pcli"
	f := openOffice(t, "[users]\nshells = [\""+pcli+"\", \"/bin/sh\"]\n")
	f.operators.Accounts = &accountworker.Workers{Helpers: &worker.Helpers{}}
	for _, test := range []struct {
		name, has, gets string
		noted           state.FormerShell
	}{
		{"pcli already", pcli, "/bin/sh", state.FormerShell{}},
		{"none", "", pcli, state.FormerShell{}},
		{"one that is not offered", "/bin/bash", "/bin/zsh", state.FormerShell{}},
		{"another", "/bin/bash", pcli, state.FormerShell{Account: "user", UID: 1001, Shell: "/bin/bash"}},
		{"pcli since", pcli, pcli, state.FormerShell{Account: "user", UID: 1001, Shell: "/bin/bash"}},
		{"a new account of the name", "/bin/sh", pcli, state.FormerShell{Account: "user", UID: 1002, Shell: "/bin/sh"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.call.people = map[string]shadowfile.Person{"user": {Name: "user", UID: max(1001, test.noted.UID), Shell: test.has}}
			err := f.operators.editPerson(t.Context(), f.call, "user", operator.Edit{Field: operator.FieldShell, Value: test.gets})
			if err == nil || strings.Contains(err.Error(), "cannot start a helper") == (test.gets == "/bin/zsh") {
				t.Fatalf("%v", err)
			}
			noted, err := f.Engine.State.FormerShells(t.Context())
			if err != nil || noted["user"] != test.noted {
				t.Errorf("%+v, %v; want %+v", noted, err, test.noted)
			}
		})
	}
}
