package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func newUserList(a *app) *cobra.Command {
	var f filter
	var hashes bool
	c := &cobra.Command{
		Use:   "list [ACCOUNT...]",
		Short: "List the managed accounts, or count their hash formats",
		Long: "Lists the managed accounts, or only those that are named, belong to an application or are\n" +
			"in a state. The last lines count the states of all named accounts, also of those that\n" +
			"--state and --problems leave out.",
		Example:           "  shadowsync user list --problems\n  shadowsync user list --state needs-login --application conductor",
		ValidArgsFunction: a.completeAccounts(0),
		RunE: func(c *cobra.Command, names []string) error {
			f.names = names
			if err := f.check(); err != nil {
				return usageError(c, err)
			}
			if hashes && (f.problems || len(f.states) > 0) {
				return usageError(c, errors.New("--hashes counts accounts in every state: leave out --state and --problems"))
			}
			if hashes {
				return runListHashes(c.Context(), a, f)
			}
			return runUserList(c.Context(), a, f)
		},
	}
	f.addFlags(a, c)
	c.Flags().BoolVar(&hashes, "hashes", false, "count hash formats on both sides; name what the application cannot verify, and what is old")
	return c
}

func runUserList(ctx context.Context, a *app, f filter) error {
	list, unknown, err := a.listUsers(ctx, f)
	if err != nil || len(list.Applications) == 0 && unknown != nil {
		return errors.Join(err, unknown)
	}
	a.addSessions(ctx, list.Users)
	err = a.paged(ctx, func(context.Context) error {
		if a.json {
			return a.printJSON(list)
		}
		return a.showUsers(list)
	})
	return errors.Join(unknown, err)
}

// listUsers reads the accounts that f shows. unknown names what was asked for and does not exist.
func (a *app) listUsers(ctx context.Context, f filter) (list userList, unknown, err error) {
	list.Users, list.Applications = []userStatus{}, []listedApplication{}
	err = a.looking(ctx, func(e *engine.Engine) error {
		var parts []selection
		parts, unknown = f.parts(e.Config)
		for _, part := range parts {
			users, counts, err := a.users(ctx, e, part, f)
			if err != nil {
				return err
			}
			list.Users = append(list.Users, users...)
			list.Applications = append(list.Applications, listedApplication{part.application.Name, counts})
		}
		return nil
	})
	return list, unknown, err
}

// userList is the object that `user list --json` prints.
type userList struct {
	Users        []userStatus        `json:"users"`
	Applications []listedApplication `json:"applications"`
}

// listedApplication counts the accounts of an application, also those that are not listed.
type listedApplication struct {
	Name   string      `json:"name"`
	Counts stateCounts `json:"counts"`
}

// addSessions looks up the sessions of all accounts at once. Without an answer they stay unknown,
// which is shown and differs from none.
func (a *app) addSessions(ctx context.Context, users []userStatus) {
	if a.mounted() {
		return
	}
	var uids []int
	for _, u := range users {
		if u.UID != nil {
			uids = append(uids, *u.UID)
		}
	}
	short, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	all, err := sessions.ListAll(short, uids)
	if err != nil {
		a.warn("cannot list the sessions: %s", err)
		return
	}
	for i := range users {
		if u := &users[i]; u.UID != nil {
			u.Sessions = append([]shadowsync.Session{}, all[*u.UID]...)
		}
	}
}

var userColumns = []table.Column{
	{Head: "NAME"},
	{Head: "APPLICATION", Rank: 1},
	{Head: "STATE"},
	{Head: "OS", Rank: 2},
	{Head: "STORE", Rank: 3},
	{Head: "CHANGED", Rank: 5},
	{Head: "VALID UNTIL", Rank: 4},
	{Head: "SESSIONS", Rank: 6},
	{Head: "NOTES", Wrap: true},
}

func (a *app) showUsers(list userList) error {
	var rows [][]string
	for _, u := range list.Users {
		row := []string{u.Name, u.Application, string(u.State), "-", "-", "", "", "?", u.notes()}
		if u.OS != nil {
			row[3], row[5], row[6] = u.OS.Format, u.OS.LastChange, date(u.OS.until)
		}
		if u.Store != nil {
			row[4] = u.Store.Format
		}
		if u.Sessions != nil {
			row[7] = strconv.Itoa(len(u.Sessions))
		}
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		if err := a.table("", userColumns, rows); err != nil {
			return err
		}
		a.say("")
	}
	for _, application := range list.Applications {
		a.tell("%s: %s", application.Name, application.Counts)
	}
	return nil
}

func (u userStatus) notes() string {
	var notes []string
	if u.PendingSince != nil {
		notes = append(notes, "since "+clock(*u.PendingSince))
	}
	if u.OS != nil && *u.OS.Locked {
		notes = append(notes, "locked")
	}
	if u.OS != nil && *u.OS.MustChange {
		notes = append(notes, "must change")
	}
	if u.OS != nil && u.OS.Expire != "" {
		notes = append(notes, "account expires "+u.OS.Expire)
	}
	if u.Failures > 0 {
		notes = append(notes, plural.Count(u.Failures, "refused password"))
	}
	if u.Protected != "" {
		notes = append(notes, "protected: "+u.Protected)
	}
	return strings.Join(notes, ", ")
}
