package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// followUnits moves guards after an application got another unit in the configuration while the
// guard was on: the former unit is no longer ours to hold, and the new one would have no guard
// until the first look. The move is audited. A store that is gone from the configuration holds nothing
// back.
func (b *Broker) followUnits(ctx context.Context) {
	e := b.engine.Load()
	var units []string
	stores := map[string][]string{}
	for _, a := range e.Config.Applications {
		units = append(units, a.Unit)
		stores[a.Unit] = append(stores[a.Unit], a.Further())
	}
	strays, err := b.guard.Strays(units)
	for unit, present := range stores {
		err = errors.Join(err, b.guard.Restrict(ctx, unit, present...))
	}
	for _, unit := range strays {
		err = errors.Join(err, followUnit(ctx, e, b.guard, unit))
	}
	if err != nil {
		b.log.Error("a guarded unit belongs to no application", "error", err)
	}
}

// untilOf returns a function that tells when the guard of a unit ends by itself; zero: it does not.
// If the guard cannot be read, its end is reported at the next look.
func untilOf(guard *systemd.Guard, unit string) func() time.Time {
	return func() time.Time {
		status, _ := guard.Status(unit)
		return status.Until
	}
}

func followUnit(ctx context.Context, e *engine.Engine, guard *systemd.Guard, unit string) error {
	status, err := guard.Status(unit)
	if err != nil {
		return err
	}
	to, events := map[string]string{}, []shadowsync.Event{}
	tell := func(application, account, reason string) {
		now := time.Now()
		events = append(events, shadowsync.Event{
			At: now, Application: application, Account: account, Action: "guard-moved", Reason: reason,
			Origin: shadowsync.Origin{At: now, SeenBy: shadowsync.SeenByStart},
		})
	}
	for _, guarded := range append(status.Accounts, status.Lapsed...) {
		account := guarded.Account
		if a, managed := e.Config.Managing(account); managed {
			to[account] = a.Unit
			tell(a.Name, account, fmt.Sprintf("the guard of %s for this account was moved to %s", unit, a.Unit))
		}
	}
	if status.Mode == systemd.GuardHeld {
		tell("", "", fmt.Sprintf("%s belongs to no application any more: its guard by hand was moved to the application's present unit", unit))
	}
	if err := guard.Move(ctx, unit, to); err != nil {
		return fmt.Errorf("cannot move the guard of %s (%s): %w", unit, strings.Join(systemd.Names(status.Accounts), ", "), err)
	}
	return e.Audit(ctx, events...)
}
