package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/systemd"
)

type statusOptions struct {
	filter
	check bool
}

func newStatus(a *app) *cobra.Command {
	var o statusOptions
	c := &cobra.Command{
		Use:   "status [ACCOUNT...]",
		Short: "Show whether OS and store agree, and why not",
		Long: "Shows each application with its accounts: in-sync, queued (a difference that is\n" +
			"not processed yet), pending (the store could not take it yet), conflict, needs-login\n" +
			"(the store needs another hash format, which the account's next login or password change\n" +
			"creates), unproven (the application changed its own hash, perhaps of the same password),\n" +
			"changed (a login has shown that the application has another password), missing (gone on\n" +
			"one side), unknown (the store cannot be read now).\n" +
			"Changes nothing.\n\n" +
			"Names and --application select the accounts to look at; without them, it is all accounts.\n" +
			"--state and --problems say which of these are shown; the others are only counted.\n\n" +
			"--check counts all accounts that are looked at, shown or not. It ignores\n" +
			"unproven, and needs-login where both sides hold the same password and the application\n" +
			"alone cannot verify it.",
		Example:           "  shadowsync status --problems\n  shadowsync status admin user222 --check\n  shadowsync status --application conductor --state pending",
		ValidArgsFunction: a.completeAccounts(0),
		RunE: func(c *cobra.Command, names []string) error {
			o.names = names
			if err := o.filter.check(); err != nil {
				return usageError(c, err)
			}
			return runStatus(c.Context(), a, o)
		},
	}
	o.addFlags(a, c)
	c.Flags().BoolVar(&o.check, "check", false, "exit with 3 unless all is in sync, every store and the broker answer, no guard is still to be lifted, and no start hook failed")
	return c
}

func runStatus(ctx context.Context, a *app, o statusOptions) error {
	s, err := a.inspect(ctx, o.filter)
	switch {
	case err != nil:
		return err
	case len(s.Applications) == 0 && s.unknown != nil:
		return s.unknown
	}
	err = a.paged(ctx, func(context.Context) error {
		if a.json {
			return a.printJSON(s)
		}
		return a.showStatus(s)
	})
	if err == nil && o.check {
		err = s.check()
	}
	return errors.Join(s.unknown, err)
}

// check returns the error of a system that is not in sync. A store that cannot be read counts as
// out of sync.
func (s systemStatus) check() error {
	var apart []string
	if s.Broker.State == brokerFailed {
		apart = append(apart, "the broker")
	}
	if s.Configuration.State == configurationRefused {
		apart = append(apart, "the configuration")
	}
	for _, application := range s.Applications {
		if application.StartHook != nil {
			apart = append(apart, application.Name+"'s start hook")
		}
		if application.Store.State != storeOK {
			apart = append(apart, application.Name+"'s store")
		}
		if application.Guard == string(systemd.GuardPending) && len(application.GuardAccounts) == 0 {
			// Its file is gone, and the accounts' names with it, but systemd still has it loaded and
			// would refuse a restart.
			apart = append(apart, application.Name+"'s guard")
		}
		apart = append(apart, application.apart...)
	}
	if len(apart) == 0 {
		return nil
	}
	return told(mark(errors.New(listed(apart)), errNotInSync))
}

// showStatus prints problems first: with a thousand accounts nobody reads on.
func (a *app) showStatus(s systemStatus) error {
	if s.Broker.State == brokerFailed || s.Broker.State == brokerStopped || s.Broker.State == brokerOutdated {
		a.tell("broker: %s: %s", s.Broker.State, s.Broker.Reason)
		a.say("    shadowsync doctor --fix")
		a.say("")
	}
	if p := s.Page; p != nil && p.State == pageStopped {
		a.tell("page: %s: %s", p.State, p.Reason)
		a.say("    %s", p.mend())
		a.say("")
	}
	if c := s.Configuration; c.State == configurationRefused {
		a.tell("configuration: %s: %s", c.State, c.Reason)
		a.tell("  the lines below, the broker and the hooks use the last good one, kept at %s", clock(*c.KeptAt))
		a.say("    %s", a.named(checkHint))
		a.say("")
	}
	if s.Clock != "" {
		a.tell("clock: %s, and codes of second factors depend on it", s.Clock)
		a.say("    timedatectl set-ntp true")
		a.say("")
	}
	for i, application := range s.Applications {
		if i > 0 {
			a.say("")
		}
		a.tell("%s", application.headline())
		if hook := application.StartHook; hook != nil {
			a.tell("  start hook: %s", hook.Reason)
			a.say("    %s", hook.command())
		}
		if application.Store.State != storeOK {
			a.tell("  store: %s: %s", application.Store.State, application.Store.Reason)
		}
		for _, alarm := range application.Alarms {
			a.tell("  alarm: %s: %s (%s)", alarm.Account, alarm.Reason, clock(alarm.At))
		}
		if command := application.release(); command != "" {
			a.tell("  guard: systemctl stop and restart of this unit are refused; to lift that:")
			a.say("    %s", a.named(command))
		}
		a.tell("  %s", application.Counts)
		if err := a.showAccounts(application.Accounts); err != nil {
			return err
		}
	}
	return nil
}

func (s applicationStatus) headline() string {
	text := fmt.Sprintf("%s  %s (%s)  store %s (%s)  guard %s", s.Name, s.Unit, s.UnitState, s.Store.Driver, s.Store.State, s.Guard)
	if len(s.GuardAccounts) > 0 {
		text += " for " + listed(s.GuardAccounts)
	}
	if s.GuardUntil != nil {
		text += " until " + clock(*s.GuardUntil)
	}
	if len(s.GuardLapsed) > 0 {
		text += ", " + lapsed(s.GuardLapsed)
	}
	return text
}

// release is the command that lifts the guard; empty: there is none.
func (s applicationStatus) release() string {
	switch systemd.GuardMode(s.Guard) {
	case systemd.GuardPending:
		return "shadowsync guard release " + shellWord(s.Unit) + " --force"
	case systemd.GuardHeld:
		if len(s.GuardAccounts) > 0 {
			return "shadowsync guard release " + shellWord(s.Unit) + " --force"
		}
		return "shadowsync guard release " + shellWord(s.Unit)
	}
	return ""
}

// lapsed names the accounts whose guard ended although their change is still pending.
func lapsed(accounts []string) string {
	return "lifted at its time limit with changes still pending: " + listed(accounts)
}

var statusColumns = []table.Column{{Head: "ACCOUNT"}, {Head: "STATE"}, {Head: "SINCE", Rank: 1}, {Head: "LAST CHANGE"}, {Wrap: true}}

func (a *app) showAccounts(accounts []accountStatus) error {
	sorted := slices.SortedStableFunc(slices.Values(accounts), func(x, y accountStatus) int {
		return cmp.Compare(urgency[x.State], urgency[y.State])
	})
	var rows [][]string
	for _, account := range sorted {
		rows = append(rows, account.row())
	}
	if len(rows) > 0 {
		if err := a.table("  ", statusColumns, rows); err != nil {
			return err
		}
	}
	for _, alike := range problems(sorted) {
		a.explain(alike)
	}
	return nil
}

// fewAlike is how many accounts with the same problem are explained one by one.
const fewAlike = 5

// problems groups the accounts that are not in sync by what is said about them. Up to fewAlike of a
// kind stay alone: an outage must not explain itself a thousand times.
func problems(accounts []accountStatus) [][]accountStatus {
	var kinds [][]accountStatus
	at := map[string]int{}
	for _, account := range accounts {
		if account.settled() {
			continue
		}
		kind := account.kind()
		if i, ok := at[kind]; ok {
			kinds[i] = append(kinds[i], account)
			continue
		}
		at[kind] = len(kinds)
		kinds = append(kinds, []accountStatus{account})
	}
	var groups [][]accountStatus
	for _, alike := range kinds {
		if len(alike) > fewAlike {
			groups = append(groups, alike)
			continue
		}
		for i := range alike {
			groups = append(groups, alike[i:i+1])
		}
	}
	return groups
}

// kind is what is said about an account that is not in sync, without its name.
func (s accountStatus) kind() string {
	s.Name = "NAME"
	parts := []string{string(s.State)}
	if s.Reason != nil {
		parts = append(parts, *s.Reason)
	}
	return strings.Join(append(parts, s.next()...), "\n")
}

func (s accountStatus) row() []string {
	row := []string{s.Name, string(s.State), "", "", ""}
	if s.PendingSince != nil {
		row[2] = clock(*s.PendingSince)
	}
	if s.LastChange != nil {
		row[3], row[4] = clock(s.LastChange.At), who(*s.LastChange)
	}
	return row
}

// explain says what is wrong with accounts that have the same problem, and what to do.
func (a *app) explain(alike []accountStatus) {
	s := alike[0]
	commands := s.next()
	if len(alike) > 1 {
		names := make([]string, len(alike))
		for i, account := range alike {
			names[i] = account.Name
		}
		s.Name = "NAME"
		commands, s.Name = s.next(), listed(names)
		if slices.Equal(commands, []string{"shadowsync sync NAME"}) {
			commands = []string{"shadowsync sync"} // of all
		}
	}
	a.say("")
	if s.Reason == nil {
		a.tell("  %s: %s", s.Name, s.State)
	} else {
		a.tell("  %s: %s: %s", s.Name, s.State, *s.Reason)
	}
	for _, command := range commands {
		a.say("    %s", a.named(command))
	}
}
