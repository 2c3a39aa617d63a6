package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/boot"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// systemStatus is the object that `status --json` prints.
type systemStatus struct {
	Node          nodeStatus          `json:"node"`
	Broker        brokerStatus        `json:"broker"`
	Page          *pageStatus         `json:"page,omitempty"` // nil: no [web]
	Configuration configurationStatus `json:"configuration"`
	Clock         string              `json:"clock,omitempty"` // clockAdrift, if somebody has a second factor; else empty
	Applications  []applicationStatus `json:"applications"`

	unknown error // what was asked for and does not exist
}

type configurationStatus struct {
	File   string     `json:"file"`
	State  string     `json:"state"`
	Reason string     `json:"reason,omitempty"`
	KeptAt *time.Time `json:"kept_at,omitempty"`
}

// The states of a configuration. If it is refused, the last good one is used.
const (
	configurationOK      = "ok"
	configurationRefused = "refused"
)

func (a *app) configurationOf(c *config.Config) configurationStatus {
	s := configurationStatus{File: a.config, State: configurationOK}
	if c.Instead != nil {
		s.State, s.Reason, s.KeptAt = configurationRefused, c.Instead.Error(), stamp(c.KeptAt)
	}
	return s
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
	GuardLapsed   []string        `json:"guard_lapsed,omitempty"`
	StartHook     *hookStatus     `json:"start_hook,omitempty"`
	Store         storeStatus     `json:"store"`
	Alarms        []alarmStatus   `json:"alarms,omitempty"`
	Counts        stateCounts     `json:"counts"`
	Accounts      []accountStatus `json:"accounts"`

	apart []string // the accounts that --check complains of, shown or not
}

// alarmStatus is an alarm of the last day that an administrator has to look at.
type alarmStatus struct {
	At      time.Time `json:"at"`
	Account string    `json:"account"`
	Reason  string    `json:"reason"`
}

// inspect reads everything and changes nothing. It does not create a missing state.
func (a *app) inspect(ctx context.Context, f filter) (systemStatus, error) {
	c, err := a.load()
	if err != nil {
		return systemStatus{}, err
	}
	s := systemStatus{Node: nodeStatus(c.Node), Broker: brokerStatus{State: brokerUnknown}, Configuration: a.configurationOf(c), Applications: []applicationStatus{}}
	known, err := a.hasState()
	if err != nil {
		return s, fmt.Errorf("cannot look at the state: %w", err)
	}
	if !known {
		parts, unknown := f.parts(c)
		for _, part := range parts {
			s.add(f, a.outside(ctx, c, part.application, a.notSetUp(part)))
		}
		s.unknown = unknown
		return s, nil
	}
	s.Broker, s.Page = a.askBroker(ctx, c), a.askPage(ctx, c)
	return s, a.looking(ctx, func(e *engine.Engine) error {
		parts, unknown := f.parts(e.Config)
		for _, part := range parts {
			one, err := a.inspectOne(ctx, e, part)
			if err != nil {
				return err
			}
			s.add(f, one)
		}
		s.unknown = unknown
		s.Clock, err = a.clockOf(ctx, e)
		return err
	})
}

// clockAdrift is the state of a clock that nothing keeps right.
const clockAdrift = "unsynchronised"

// clockOf returns the state of the clock that codes of second factors depend on; empty: there is nothing to
// say about it.
func (a *app) clockOf(ctx context.Context, e *engine.Engine) (string, error) {
	all, err := e.State.Factors(ctx)
	if err != nil || a.mounted() || !engine.ClockMatters(e.Config, all) || !boot.ClockAdrift() {
		return "", err
	}
	return clockAdrift, nil
}

func (s *systemStatus) add(f filter, application applicationStatus) {
	application.show(f)
	s.Applications = append(s.Applications, application)
}

// show counts the accounts and then keeps only those that f shows.
func (s *applicationStatus) show(f filter) {
	s.Counts = countStates(s.Accounts)
	shown := []accountStatus{}
	for _, account := range s.Accounts {
		if account.wrong() && !account.agrees {
			s.apart = append(s.apart, account.Name)
		}
		if f.shows(account) {
			shown = append(shown, account)
		}
	}
	s.Accounts = shown
}

// inspectOne reads the selected accounts of an application by a dry-run reconcile.
func (a *app) inspectOne(ctx context.Context, e *engine.Engine, part selection) (applicationStatus, error) {
	application := part.application
	wipe := a.progress("Reading " + application.Name + "'s credential store")
	defer wipe()
	report, err := e.Reconcile(ctx, application.Name, shadowsync.Request{DryRun: true, Among: part.accounts})
	if err != nil {
		return applicationStatus{}, err
	}
	memory, err := e.State.Survey(ctx, application.Name, part.accounts)
	if err != nil {
		return applicationStatus{}, err
	}
	s := applicationStatus{Name: application.Name, Unit: application.Unit, Store: storeOf(application, report.Fault)}
	if s.Store.State == storeOK && !a.mounted() {
		s.Store = takes(application, s.Store)
	}
	alarms, err := e.State.Alarms(ctx, application.Name, time.Now())
	if err != nil {
		return s, err
	}
	for _, event := range alarms {
		if !part.all && !slices.Contains(part.accounts, event.Account) {
			continue
		}
		s.Alarms = append(s.Alarms, alarmStatus{At: event.At, Account: event.Account, Reason: event.Reason})
	}
	noted, err := e.Noted(application.Name)
	if err != nil {
		return applicationStatus{}, err
	}
	find := report.Finder()
	for _, name := range part.accounts {
		outcome, _ := find(name)
		account := accountOf(outcome, memory.Accounts[name])
		if slices.Contains(application.Kept, name) && outcome.State != shadowsync.InSync {
			text := outcome.Reason + "; it is no longer in accounts, and stays managed until this is settled"
			account.Reason = &text
		}
		if account.State == shadowsync.InSync {
			account.doubt(report.Fault != nil, s.Store, noted[name])
		} else if f := report.Fault; f != nil && account.Reason != nil && *account.Reason == f.Reason {
			reason := "store: " + s.Store.Reason
			account.Reason = &reason
		}
		s.Accounts = append(s.Accounts, account)
	}
	open, err := e.State.Changes(ctx, application.Name)
	if err != nil {
		return applicationStatus{}, err
	}
	s.Store.afterRefusal(application, s.Accounts, open)
	if err := explainGone(ctx, e, s.Accounts); err != nil {
		return applicationStatus{}, err
	}
	return a.outside(ctx, e.Config, application, s), nil
}

// explainGone finds accounts that seem to have no line in shadow(5) because their line cannot be
// read.
func explainGone(ctx context.Context, e *engine.Engine, accounts []accountStatus) error {
	var gone []string
	for _, account := range accounts {
		if account.goneOS {
			gone = append(gone, account.Name)
		}
	}
	if gone == nil {
		return nil
	}
	bad, err := e.Accounts.BadLines(ctx, gone)
	for i := range accounts {
		if line := bad[accounts[i].Name]; line > 0 {
			reason := (&shadowfile.BadLineError{Account: accounts[i].Name, Line: line}).Error() + "; the store keeps its own password"
			accounts[i].badLine, accounts[i].Reason = true, &reason
		}
	}
	return err
}

// notSetUp describes an application with no recorded state.
func (a *app) notSetUp(part selection) applicationStatus {
	application := part.application
	reason := a.named("not taken over yet: run shadowsync setup")
	s := applicationStatus{
		Name: application.Name, Unit: application.Unit,
		Store: storeStatus{Driver: application.Driver(), State: storeUnknown, Reason: reason},
	}
	for _, name := range part.accounts {
		s.Accounts = append(s.Accounts, accountStatus{Name: name, State: shadowsync.Queued, Reason: &reason, notTaken: true})
	}
	return s
}

// outside adds what systemd knows to s. Without an answer that stays unknown: neither password
// changes nor showing them depends on systemd.
func (a *app) outside(ctx context.Context, c *config.Config, application config.Application, s applicationStatus) applicationStatus {
	s.UnitState, s.Guard = "unknown", "off"
	if a.mounted() {
		return s
	}
	short, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	if unit, err := (&systemd.Bus{}).Unit(short, application.Unit); err == nil {
		s.UnitState, s.Guard = unit.Active, string(unit.Guard())
		s.StartHook = hookOf(short, application.Unit)
	}
	g, err := a.guard(c).Status(application.Unit)
	switch {
	case err != nil:
	case g.Mode == systemd.GuardOff:
		s.GuardLapsed = systemd.Names(g.Lapsed)
	default:
		s.Guard, s.GuardAccounts, s.GuardUntil = string(g.Mode), systemd.Names(g.Accounts), stamp(g.Until)
	}
	s.whileGuarded(g, application.Further())
	return s
}

// whileGuarded reports an account as pending until its unit's guard is lifted, a moment after the
// change is persisted. Otherwise systemd could refuse a restart although status shows everything in
// sync.
func (s *applicationStatus) whileGuarded(g systemd.GuardStatus, store string) {
	if s.Guard != string(systemd.GuardPending) {
		return
	}
	reason := "persisted; the guard of " + s.Unit + " is still to be lifted"
	for i := range s.Accounts {
		if a := &s.Accounts[i]; a.State == shadowsync.InSync && g.For(a.Name, store) {
			a.State, a.Reason = shadowsync.Pending, &reason
		}
	}
}
