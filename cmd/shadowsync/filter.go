package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// filter selects the accounts that a command shows. Names and application say which accounts are
// read, counted and checked; states and problems say which of them are shown.
type filter struct {
	names       []string // empty: all
	application string   // its name or unit; empty: all
	states      []string // empty: all
	problems    bool     // only what is not in sync
}

func (f *filter) addFlags(a *app, c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.application, "application", "", "only the accounts of this application; `name` is its name or its unit"+otherStores)
	flags.StringSliceVar(&f.states, "state", nil, "show only accounts in `state`: "+strings.Join(stateNames(), ", "))
	flags.BoolVar(&f.problems, "problems", false, "show only accounts that are not in-sync")
	_ = c.RegisterFlagCompletionFunc("application", a.completeApplications) // the flag exists
	completeFixed(c, "state", stateNames()...)
}

// otherStores is what the help of --application adds.
const otherStores = ", or APPLICATION.STORE_NAME for another store than its first"

// stateNames are the states of an account, the usual one first and then the most urgent.
func stateNames() []string {
	var names []string
	for _, state := range statesInOrder {
		names = append(names, string(state))
	}
	return names
}

// statesInOrder has every state: in-sync, then the others by urgency.
var statesInOrder = []shadowsync.ChangeState{
	shadowsync.InSync, shadowsync.Conflict, unknown, shadowsync.Pending, shadowsync.Missing, shadowsync.NeedsLogin, shadowsync.Changed, shadowsync.Queued,
	shadowsync.Unproven,
}

// check refuses a state that does not exist.
func (f filter) check() error {
	for _, state := range f.states {
		if !slices.Contains(statesInOrder, shadowsync.ChangeState(state)) {
			return fmt.Errorf("--state %q: must be one of %s", state, strings.Join(stateNames(), ", "))
		}
	}
	return nil
}

// parts returns what names and application select, and an error for those that do not exist. What
// exists is shown all the same.
func (f filter) parts(c *config.Config) ([]selection, error) {
	applications := c.Applications
	if f.application != "" {
		if applications = c.Chosen(f.application); len(applications) == 0 {
			return nil, &noApplicationError{f.application}
		}
	}
	parts, unknown := selected(applications, f.names)
	var errs []error
	for _, name := range unknown {
		errs = append(errs, f.unknown(c, name))
	}
	return parts, errors.Join(errs...)
}

// unknown is the error for a name that was not found among the selected applications.
func (f filter) unknown(c *config.Config, name string) error {
	var err error = &config.UnmanagedError{Account: name}
	if _, elsewhere := c.Managing(name); elsewhere {
		return mark(fmt.Errorf("application %s does not manage an account %q", f.application, name), err)
	}
	for _, a := range c.Applications {
		if name == a.Name || name == a.Unit {
			return &applicationNameError{err, a.Name}
		}
	}
	return err
}

// shows reports whether an account is shown.
func (f filter) shows(s accountStatus) bool {
	return (!f.problems || s.wrong()) && (len(f.states) == 0 || slices.Contains(f.states, string(s.State)))
}

// stateCounts says how many accounts are in each state.
type stateCounts map[shadowsync.ChangeState]int

func countStates(accounts []accountStatus) stateCounts {
	counts := stateCounts{}
	for _, account := range accounts {
		counts[account.State]++
	}
	return counts
}

// String is for people: "1,998 in-sync, 2 pending".
func (c stateCounts) String() string {
	var parts []string
	for _, state := range statesInOrder {
		if n := c[state]; n > 0 {
			parts = append(parts, thousands(n)+" "+string(state))
		}
	}
	if parts == nil {
		return "no accounts"
	}
	return strings.Join(parts, ", ")
}

// thousands writes a count with commas: 1,998.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// completeApplications offers the names of the applications.
func (a *app) completeApplications(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	c, err := a.loadQuietly()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, application := range c.Applications {
		names = append(names, application.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
