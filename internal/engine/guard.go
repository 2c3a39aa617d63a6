package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Guard is the restart guard of the running system. Its own memory ends with the boot; what must
// outlive the boot is in the state.
type Guard interface {
	shadowsync.Guard
	// HoldIf holds the unit back, as if an administrator had asked, if wanted returns true. It
	// calls wanted while no other process can change the guard, so that it does not undo a release
	// at the same time.
	HoldIf(ctx context.Context, unit string, wanted func(context.Context) (bool, error)) error
	// Lapsed calls tell with the accounts whose change a store still lacks when the guard's time limit
	// ends. A change counts as told once tell returns no error.
	Lapsed(ctx context.Context, unit, store string, tell func(ctx context.Context, accounts []string) error) error
}

// NoGuard holds nothing back, because a mounted system runs no units.
type NoGuard struct{}

// Set does nothing.
func (NoGuard) Set(context.Context, string, string, []string, ...string) error { return nil }

// HoldIf does nothing.
func (NoGuard) HoldIf(context.Context, string, func(context.Context) (bool, error)) error { return nil }

// Lapsed does nothing.
func (NoGuard) Lapsed(context.Context, string, string, func(context.Context, []string) error) error {
	return nil
}

// holdAgain restores an administrator's hold after a boot, which deletes the guard's own memory, or
// when the application has another unit. Each process repeats that until it succeeds: systemd may
// not have answered the process that looked first.
func (e *Engine) holdAgain(ctx context.Context, application string) error {
	if e.holds.is(application, holdSet) {
		return nil
	}
	held, err := e.State.Held(ctx, application)
	if err == nil && held { // otherwise do not take the guard's lock
		err = e.options.Guard.HoldIf(ctx, e.reconcilers[application].Application.Unit, func(ctx context.Context) (bool, error) {
			return e.State.Held(ctx, application)
		})
	}
	if err == nil {
		e.holds.in(application, holdSet)
	}
	return err
}

// holdSet marks that the guard's hold is what the state says.
const holdSet = "set"

// tellLapsed records that the guard's time limit has ended, and notifies the administrator: from
// now on a restart is no longer refused although the store lacks the change.
func (e *Engine) tellLapsed(ctx context.Context, application string) error {
	of := e.reconcilers[application].Application
	unit := of.Unit
	return e.options.Guard.Lapsed(ctx, unit, of.Store, func(ctx context.Context, accounts []string) error {
		memory, err := e.State.Survey(ctx, application, accounts)
		if err != nil {
			return err
		}
		var events []shadowsync.Event
		now := time.Now()
		for _, account := range accounts {
			if !memory.Accounts[account].Guards() {
				continue // settled meanwhile; its guard will be lifted
			}
			events = append(events, shadowsync.Event{
				At: now, Application: application, Account: account, Action: "guard-lifted", Result: shadowsync.Pending,
				Reason: fmt.Sprintf("the change is still pending at the limit of %s: the guard no longer holds %s", time.Duration(e.Config.Guard.Limit), unit),
			})
		}
		if len(events) == 0 {
			return nil
		}
		if err := e.Audit(ctx, events...); err != nil {
			return err
		}
		e.news.tell(events)
		return nil
	})
}

// tend does what the guard needs after a reconcile. Its errors do not stop the reconcile.
func (e *Engine) tend(ctx context.Context, application string) error {
	return errors.Join(e.holdAgain(ctx, application), e.tellLapsed(ctx, application))
}
