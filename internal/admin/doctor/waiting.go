package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// checkWaiting says for which accounts a store waits for clear text, and of which a login has shown that
// the application has another password. Unproven accounts need nothing.
func checkWaiting(ctx context.Context, e *exam) verdict {
	if e.state == nil {
		return notChecked("the state cannot be opened")
	}
	return e.each("no account waits for a login", func(a config.Application) verdict {
		memory, err := e.state.Survey(ctx, a.Name, a.Accounts)
		if err != nil {
			return fail("%v", err)
		}
		return assessWaiting(a, memory)
	})
}

func assessWaiting(a config.Application, memory shadowsync.Memory) verdict {
	in := map[shadowsync.ChangeState][]string{}
	for _, name := range a.Accounts {
		if o := memory.Accounts[name].Open; o != nil {
			in[o.State] = append(in[o.State], name)
		}
	}
	var found []verdict
	if names := in[shadowsync.NeedsLogin]; len(names) > 0 {
		found = append(found, warn("%s's store takes no hash that can be made of the OS's: it waits for the next login or password change of %s", a.Name, some(names)).
			person("set the password, or wait", "shadowsync user set password "+names[0]))
	}
	if names := in[shadowsync.Changed]; len(names) > 0 {
		found = append(found, warn("%s has another password than the OS for %s", a.Name, some(names)).
			person("set one for both", "shadowsync user set password "+names[0]))
	}
	return join("", found...)
}

// namedMost is how many accounts are named.
const namedMost = 5

func some(names []string) string {
	if len(names) <= namedMost {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:namedMost], ", "), len(names)-namedMost)
}
