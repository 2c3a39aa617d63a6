package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// systemStatus is the object that `status --json` prints.
type systemStatus struct {
	Node         nodeStatus          `json:"node"`
	Applications []applicationStatus `json:"applications"`
}

type nodeStatus struct {
	Name  string `json:"name"`
	Asset string `json:"asset"`
}

type applicationStatus struct {
	Name          string          `json:"name"`
	Unit          string          `json:"unit"`
	UnitState     string          `json:"unit_state"` // systemd's ActiveState, or unknown
	Guard         string          `json:"guard"`      // off, on or held
	GuardAccounts []string        `json:"guard_accounts,omitempty"`
	GuardUntil    *time.Time      `json:"guard_until,omitempty"`
	Store         storeStatus     `json:"store"`
	Accounts      []accountStatus `json:"accounts"`
}

type storeStatus struct {
	Driver string `json:"driver"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// The states of a store. It is unknown before setup: nothing was asked.
const (
	storeOK          = "ok"
	storeUnavailable = "unavailable"
	storeMalformed   = "malformed"
	storeUnknown     = "unknown"
)

type accountStatus struct {
	Name         string                 `json:"name"`
	State        shadowsync.ChangeState `json:"state"`
	Reason       *string                `json:"reason"`
	PendingSince *time.Time             `json:"pending_since"`
	LastChange   *shadowsync.Origin     `json:"last_change"`

	agrees    bool // both sides hold the same, and only the application cannot verify it
	goneOS    bool
	malformed bool // so is the store, or the account's record there
	choices   []shadowsync.Side
}

// urgency orders the states for somebody in a hurry.
var urgency = map[shadowsync.ChangeState]int{
	shadowsync.Conflict: 0, shadowsync.Pending: 1, shadowsync.Missing: 2, shadowsync.NeedsLogin: 3, shadowsync.Queued: 4, shadowsync.InSync: 5,
}

func (s accountStatus) wrong() bool { return s.State != shadowsync.InSync }

// next are the commands that help, the likeliest first.
func (s accountStatus) next() []string {
	switch {
	case s.State == shadowsync.Queued:
		return []string{"shadowsync sync " + s.Name}
	case s.State == shadowsync.Pending:
		return []string{"mend the store; the change is persisted by itself, or at once by", "shadowsync sync " + s.Name}
	case s.State == shadowsync.Conflict && s.malformed:
		return []string{"mend the store, then:", "shadowsync sync " + s.Name}
	case s.State == shadowsync.Conflict && len(s.choices) > 0:
		return s.decide()
	case s.State == shadowsync.NeedsLogin, s.State == shadowsync.Conflict:
		return []string{"shadowsync user set password " + s.Name}
	case s.goneOS:
		return []string{"create the OS account again, or take it out of the configuration"}
	case s.State == shadowsync.Missing:
		return []string{"create the account in the application, or take it out of the configuration"}
	}
	return nil
}

// decide are the commands that settle a conflict one way or the other.
func (s accountStatus) decide() []string {
	texts := map[shadowsync.Side]string{
		shadowsync.OSSide:    "os     the OS's password holds",
		shadowsync.StoreSide: "store  the store's password holds",
	}
	var commands []string
	for _, side := range s.choices {
		commands = append(commands, "shadowsync sync "+s.Name+" --prefer "+texts[side])
	}
	return commands
}

// inspect looks at everything and changes nothing: it does not even make the
// state where there is none.
func (a *app) inspect(ctx context.Context) (systemStatus, error) {
	c, err := a.load()
	if err != nil {
		return systemStatus{}, err
	}
	s := systemStatus{Node: nodeStatus(c.Node), Applications: []applicationStatus{}}
	known, err := a.hasState()
	if err != nil {
		return s, fmt.Errorf("cannot look at the state: %w", err)
	}
	if !known {
		for _, application := range c.Applications {
			s.Applications = append(s.Applications, a.outside(ctx, c, application, notSetUp(application)))
		}
		return s, nil
	}
	return s, a.with(ctx, func(e *engine.Engine) error {
		for _, application := range c.Applications {
			one, err := a.inspectOne(ctx, e, application, nil)
			if err != nil {
				return err
			}
			s.Applications = append(s.Applications, one)
		}
		return nil
	})
}

// inspectOne looks at one application by a reconcile that does nothing.
func (a *app) inspectOne(ctx context.Context, e *engine.Engine, application config.Application, names []string) (applicationStatus, error) {
	defer a.progress("Reading " + application.Name + "'s credential store")()
	report, err := e.Reconcile(ctx, application.Name, shadowsync.Request{DryRun: true})
	if err != nil {
		return applicationStatus{}, err
	}
	memory, err := e.State.Load(ctx, application.Name, names)
	if err != nil {
		return applicationStatus{}, err
	}
	s := applicationStatus{Name: application.Name, Unit: application.Unit, Store: storeOf(application, report.Fault)}
	if names == nil {
		names = application.Accounts
	}
	find := report.Finder()
	for _, name := range names {
		outcome, _ := find(name)
		s.Accounts = append(s.Accounts, accountOf(outcome, memory.Accounts[name]))
	}
	return a.outside(ctx, e.Config, application, s), nil
}

func storeOf(application config.Application, fault *shadowsync.StoreFault) storeStatus {
	s := storeStatus{Driver: application.Driver(), State: storeOK}
	if fault != nil {
		s.State, s.Reason = storeUnavailable, strings.TrimPrefix(fault.Reason, "store: ")
		if fault.Malformed {
			s.State = storeMalformed
		}
	}
	return s
}

// accountOf is an account's state: what is on record, unless what would be done
// now tells something newer.
func accountOf(o shadowsync.Outcome, m shadowsync.AccountMemory) accountStatus {
	s := accountStatus{
		Name: o.Account, State: o.State, LastChange: m.LastChange,
		agrees: agree(o), goneOS: o.OS == nil, malformed: o.Malformed, choices: o.Choices,
	}
	reason := o.Reason
	if m.Open != nil && m.Open.Origin.SeenBy != "" {
		s.LastChange = &m.Open.Origin
	}
	if o.State == shadowsync.InSync {
		s.State, reason = openState(o, m.Open)
	}
	if s.State == shadowsync.InSync {
		return s
	}
	if reason != "" {
		s.Reason = &reason
	}
	if m.Open != nil {
		s.PendingSince = stamp(m.Open.Since)
	}
	return s
}

// agree tells whether what waits is in step all the same: both sides hold one password, in a
// format that the application cannot verify.
func agree(o shadowsync.Outcome) bool { return o.State == shadowsync.NeedsLogin && !o.AtStake }

// openState is the state of an account for which nothing is in the way now. A
// change that was pending still is until somebody has worked on it.
func openState(o shadowsync.Outcome, open *shadowsync.Change) (shadowsync.ChangeState, string) {
	switch {
	case open != nil && open.State == shadowsync.Pending:
		return shadowsync.Pending, open.Reason
	case open == nil && (o.Verdict == shadowsync.VerdictNothing || o.Verdict == shadowsync.VerdictAgree || o.Verdict == shadowsync.VerdictBaseline):
		return shadowsync.InSync, ""
	}
	return shadowsync.Queued, o.Reason
}

// notSetUp is an application of which nothing is on record.
func notSetUp(application config.Application) applicationStatus {
	reason := "not taken over yet: run shadowsync setup"
	s := applicationStatus{
		Name: application.Name, Unit: application.Unit,
		Store: storeStatus{Driver: application.Driver(), State: storeUnknown, Reason: reason},
	}
	for _, name := range application.Accounts {
		s.Accounts = append(s.Accounts, accountStatus{Name: name, State: shadowsync.Queued, Reason: &reason})
	}
	return s
}

// outside completes s by what systemd knows. Without an answer it is unknown:
// password changes do not depend on systemd, nor does looking at them.
func (a *app) outside(ctx context.Context, c *config.Config, application config.Application, s applicationStatus) applicationStatus {
	s.UnitState, s.Guard = "unknown", "off"
	if a.mounted() {
		return s
	}
	short, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	if unit, err := (&systemd.Bus{}).Unit(short, application.Unit); err == nil {
		s.UnitState, s.Guard = unit.Active, string(unit.Guard())
	}
	if g, err := a.guard(c).Status(application.Unit); err == nil && g.Mode != systemd.GuardOff {
		s.Guard, s.GuardAccounts, s.GuardUntil = string(g.Mode), g.Accounts, stamp(g.Until)
	}
	return s
}
