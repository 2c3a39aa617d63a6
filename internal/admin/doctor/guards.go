package doctor

import (
	"context"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/systemd"
)

func checkGuards(ctx context.Context, e *exam) verdict {
	if e.state == nil {
		return notChecked("the state cannot be opened")
	}
	return e.each("no stale guard", func(a config.Application) verdict {
		guard := systemd.NewGuard(e.bus)
		status, err := guard.Status(a.Unit)
		if err != nil {
			return fail("%v", err)
		}
		if status.Mode == systemd.GuardHeld {
			return warn("%s is held by hand", a.Unit).by("shadowsync guard release "+a.Unit, nil)
		}
		if status.Mode == systemd.GuardOff {
			return pass("")
		}
		return e.assessPending(ctx, guard, a, status.Accounts)
	})
}

// assessPending: a guard needs a pending change that it waits for, and a timer that ends it.
func (e *exam) assessPending(ctx context.Context, guard *systemd.Guard, a config.Application, all []systemd.Guarded) verdict {
	memory, err := e.state.Load(ctx, a.Name, nil)
	if err != nil {
		return fail("%v", err)
	}
	var accounts []string
	wanted := false
	for _, g := range all {
		if g.Store == a.Further() {
			accounts = append(accounts, g.Account)
			wanted = wanted || memory.Accounts[g.Account].Guards()
		}
	}
	if len(accounts) == 0 {
		return pass("") // another store guards the unit
	}
	if !wanted {
		return fail("%s is guarded for %s, whose changes are not pending", a.Unit, strings.Join(accounts, ", ")).
			by("shadowsync guard release --force "+a.Unit, func(ctx context.Context) error { return guard.Set(ctx, a.Unit, a.Further(), nil) })
	}
	again := func(ctx context.Context) error {
		return guard.WithLimit(time.Duration(e.config.Guard.Limit)).Set(ctx, a.Unit, a.Further(), accounts)
	}
	timer, err := e.bus.Unit(ctx, systemd.GuardTimer(a.Unit))
	if err != nil {
		return fail("%v", err)
	}
	loaded, err := e.bus.Unit(ctx, a.Unit)
	if err != nil {
		return fail("%v", err)
	}
	switch {
	case timer.Active != "active":
		return fail("the guard of %s has no timer that ends it", a.Unit).by("shadowsync sync", again)
	case !loaded.RefusesStop:
		return fail("systemd has not read the guard of %s", a.Unit).by("systemctl daemon-reload", again)
	}
	return pass("")
}
