package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

var errMountedGuard = errors.New("a mounted system has no running units to hold back")

type guardOptions struct {
	unit  string // empty: the only one
	force bool
}

func newGuard(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "guard",
		Short: "Show, set and lift the restart guard of a unit",
		Long: "While a change of root's is pending, systemd refuses to stop or restart the\n" +
			"application by hand. The guard lifts by itself when the change is persisted, or at\n" +
			"its time limit. hold sets it until release, across reboots too.",
	}
	c.AddCommand(
		newGuardVerb(a, "status [UNIT]", "Show which units are guarded, and why", runGuardStatus),
		newGuardVerb(a, "hold [UNIT]", "Refuse to stop or restart a unit until release", runGuardHold),
		newGuardRelease(a),
	)
	return c
}

func newGuardVerb(a *app, use, short string, run func(context.Context, *app, guardOptions) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(cobra.MaximumNArgs(1)), ValidArgsFunction: a.completeUnits,
		RunE: func(c *cobra.Command, units []string) error {
			return run(c.Context(), a, guardOptions{unit: strings.Join(units, "")})
		},
	}
}

func newGuardRelease(a *app) *cobra.Command {
	var force bool
	c := newGuardVerb(a, "release [UNIT]", "Lift the guard of a unit", func(ctx context.Context, a *app, o guardOptions) error {
		o.force = force
		return runGuardRelease(ctx, a, o)
	})
	c.Flags().BoolVar(&force, "force", false, "even while changes are pending; a restart may undo them until their store takes them")
	return c
}

func runGuardStatus(ctx context.Context, a *app, o guardOptions) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	applications := c.Firsts()
	if o.unit != "" {
		application, err := unitOf(c, o.unit)
		if err != nil {
			return err
		}
		applications = []config.Application{application}
	}
	list := []applicationStatus{}
	for _, application := range applications {
		list = append(list, a.outside(ctx, c, application, applicationStatus{Name: application.Name, Unit: application.Unit}))
	}
	return a.showGuards(list)
}

// guardStatus is a unit in the output of `guard status --json`.
type guardStatus struct {
	Unit          string     `json:"unit"`
	UnitState     string     `json:"unit_state"`
	Guard         string     `json:"guard"`
	GuardAccounts []string   `json:"guard_accounts,omitempty"`
	GuardUntil    *time.Time `json:"guard_until,omitempty"`
	GuardLapsed   []string   `json:"guard_lapsed,omitempty"`
}

// guardList is the object that the guard verbs print with --json.
type guardList struct {
	Guards []guardStatus `json:"guards"`
}

var guardColumns = []table.Column{{Head: "UNIT"}, {Head: "STATE"}, {Head: "GUARD"}, {Head: "FOR", Wrap: true}, {Head: "UNTIL", Rank: 1, Wrap: true}}

func (a *app) showGuards(list []applicationStatus) error {
	guards := make([]guardStatus, 0, len(list))
	var rows [][]string
	for _, s := range list {
		g := guardStatus{Unit: s.Unit, UnitState: s.UnitState, Guard: s.Guard, GuardAccounts: s.GuardAccounts, GuardUntil: s.GuardUntil, GuardLapsed: s.GuardLapsed}
		until := ""
		if s.GuardUntil != nil {
			until = clock(*s.GuardUntil)
		}
		if len(s.GuardLapsed) > 0 {
			until = lapsed(s.GuardLapsed)
		}
		guards = append(guards, g)
		rows = append(rows, []string{s.Unit, s.UnitState, s.Guard, strings.Join(s.GuardAccounts, ", "), until})
	}
	if a.json {
		return a.printJSON(guardList{guards})
	}
	return a.table("", guardColumns, rows)
}

func runGuardHold(ctx context.Context, a *app, o guardOptions) error {
	return a.changeGuard(ctx, o, "hold", "guard-held", func(ctx context.Context, e *engine.Engine, g *systemd.Guard, application config.Application) error {
		// The guard forgets its state at boot. A crash between the two calls leaves the unit held.
		if err := e.State.SetHeld(ctx, application.Name, true); err != nil {
			return err
		}
		return g.Hold(ctx, application.Unit)
	})
}

func runGuardRelease(ctx context.Context, a *app, o guardOptions) error {
	return a.changeGuard(ctx, o, "release", "guard-released", func(ctx context.Context, e *engine.Engine, g *systemd.Guard, application config.Application) error {
		s, err := g.Status(application.Unit)
		if err != nil {
			return err
		}
		if s.Mode == systemd.GuardPending && !o.force {
			return &guardPendingError{unit: application.Unit, accounts: systemd.Names(s.Accounts)}
		}
		if err := forgetHold(ctx, e, application); err != nil {
			return err
		}
		return g.Release(ctx, application.Unit, o.force)
	})
}

// forgetHold records that the unit is no longer held by hand. It writes only if it was: a guard of
// pending changes must be released on a full disk too.
func forgetHold(ctx context.Context, e *engine.Engine, application config.Application) error {
	held, err := e.State.Held(ctx, application.Name)
	if err == nil && held {
		err = e.State.SetHeld(ctx, application.Name, false)
	}
	if err != nil {
		return &stillHeldError{application.Unit, err}
	}
	return nil
}

// stillHeldError: the state keeps a hold by hand, and would set it again.
type stillHeldError struct {
	unit string
	err  error
}

func (e *stillHeldError) Error() string { return e.err.Error() }
func (e *stillHeldError) Unwrap() error { return e.err }

// guardChange is what a verb does to the guard of an application's unit.
type guardChange func(context.Context, *engine.Engine, *systemd.Guard, config.Application) error

// changeGuard makes one change to the guard and audits it, failed attempts too.
func (a *app) changeGuard(ctx context.Context, o guardOptions, verb, action string, change guardChange) error {
	if a.mounted() {
		return fmt.Errorf("cannot change the guard: %w", errMountedGuard)
	}
	return a.with(ctx, func(e *engine.Engine) error {
		application, err := unitOf(e.Config, o.unit)
		event := shadowsync.Event{Application: application.Name, Action: action}
		if err == nil {
			g := a.guard(e.Config)
			var before systemd.GuardStatus
			if before, err = g.Status(application.Unit); err == nil {
				event.Reason = guardReason(application.Unit, before, o)
				err = change(ctx, e, g, application)
			}
		}
		if err != nil {
			err = fmt.Errorf("cannot %s the guard of %s: %w", verb, cmp.Or(application.Unit, "a unit"), err)
		}
		if err := a.recordGuard(ctx, e, verb, event, err); err != nil {
			return err
		}
		return a.showGuards([]applicationStatus{a.outside(ctx, e.Config, application, applicationStatus{Name: application.Name, Unit: application.Unit})})
	})
}

// recordGuard audits a change of the guard. What was released stays so although the trail takes no
// record: the journal has it then.
func (a *app) recordGuard(ctx context.Context, e *engine.Engine, verb string, event shadowsync.Event, err error) error {
	refused := a.record(ctx, e, "guard "+verb, event, err)
	if err != nil || refused == nil || verb != "release" {
		return refused
	}
	engine.Tell(a.root, came(event, ourselves(e), "guard "+verb, nil))
	a.warn("released, but only the journal has a record of it: %v", refused)
	return nil
}

func guardReason(unit string, before systemd.GuardStatus, o guardOptions) string {
	text := unit
	if len(before.Accounts) > 0 {
		text += ", pending: " + listed(systemd.Names(before.Accounts))
	}
	if o.force {
		text += ", forced"
	}
	return text
}
