package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/faillock"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func newUser(a *app) *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "List, show and change accounts"}
	c.AddCommand(
		newUserList(a), newUserShow(a),
		group("set", "Set something of an account", newSetPassword(a)),
		group("reset", "Reset what somebody has lost", newResetPassword(a)),
		group("expire", "Make something of an account expire", newExpirePassword(a)),
		newLock(a), newUnlock(a), newUserSessions(a), newUserLogout(a),
	)
	return c
}

// group is a word of the grammar with the words that may follow it.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short}
	c.AddCommand(commands...)
	return c
}

func newUserList(a *app) *cobra.Command {
	var hashes bool
	c := &cobra.Command{
		Use: "list", Short: "List the managed accounts, or count their hash formats", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if hashes {
				return runListHashes(c.Context(), a)
			}
			return runUserList(c.Context(), a)
		},
	}
	c.Flags().BoolVar(&hashes, "hashes", false, "count hash formats on both sides; name what the application cannot verify, and what is old")
	return c
}

func newUserShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show one account on both sides", Args: exactly(1),
		ValidArgsFunction: a.completeAccounts(1),
		RunE:              func(c *cobra.Command, names []string) error { return runUserShow(c.Context(), a, names[0]) },
	}
}

// userStatus is an account as `user show --json` prints it.
type userStatus struct {
	accountStatus
	Application string               `json:"application"`
	UID         *int                 `json:"uid"`
	Protected   string               `json:"protected,omitempty"`
	OS          *sideStatus          `json:"os"`       // null: not there
	Store       *sideStatus          `json:"store"`    // null: not there, or not readable
	Failures    int                  `json:"failures"` // refused passwords that pam_faillock counts
	Sessions    []shadowsync.Session `json:"sessions"` // null: not known
}

// sideStatus is what one side holds; a field that a store cannot hold is not there.
type sideStatus struct {
	Format     string `json:"format"`
	Locked     *bool  `json:"locked,omitempty"`
	MustChange *bool  `json:"must_change,omitempty"`
	LastChange string `json:"last_change_day,omitempty"`
	Min        *int   `json:"min_days,omitempty"`
	Max        *int   `json:"max_days,omitempty"`
	Warn       *int   `json:"warn_days,omitempty"`
	Inactive   *int   `json:"inactive_days,omitempty"`
	Expire     string `json:"expire_day,omitempty"`

	until shadowsync.Day // the day after which the password must be changed; NoDay: never
}

func sideOf(c shadowsync.Credential, fields shadowsync.Fields) *sideStatus {
	c = shadowsync.NoAgeing().With(c, fields)
	s := &sideStatus{
		Format: formatOf(c.Hash), LastChange: date(c.LastChange), Expire: date(c.Expire),
		Min: days(c.Min), Max: days(c.Max), Warn: days(c.Warn), Inactive: days(c.Inactive), until: shadowsync.NoDay,
	}
	if c.LastChange != shadowsync.NoDay && c.Max != shadowsync.NoDay && c.Max < maxExpiry {
		s.until = c.LastChange + c.Max
	}
	if fields&shadowsync.FieldLocked != 0 {
		s.Locked = &c.Locked
	}
	if fields&shadowsync.FieldMustChange != 0 {
		s.MustChange = &c.MustChange
	}
	return s
}

func days(d shadowsync.Day) *int {
	if d == shadowsync.NoDay {
		return nil
	}
	n := int(d)
	return &n
}

// users looks at accounts on both sides.
func (a *app) users(ctx context.Context, e *engine.Engine, s selection) ([]userStatus, error) {
	status, err := a.inspectOne(ctx, e, s.application, s.accounts)
	if err != nil {
		return nil, err
	}
	os, err := e.Accounts.Read(ctx, s.accounts)
	if err != nil {
		return nil, err
	}
	r := e.Reconciler(s.application.Name)
	fields := r.Store.Capabilities().Fields
	var store shadowsync.StoreSnapshot
	if status.Store.State == storeOK {
		if store, err = r.Store.Read(ctx, s.accounts); err != nil {
			return nil, err
		}
	}
	failures := faillock.Of(a.root)
	users := make([]userStatus, 0, len(status.Accounts))
	for _, account := range status.Accounts {
		u := userStatus{accountStatus: account, Application: s.application.Name}
		if u.Failures, err = failures.Count(u.Name); err != nil {
			return nil, err
		}
		if account, ok := os.Accounts[u.Name]; ok {
			u.UID, u.Protected, u.OS = &account.UID, account.Protected, sideOf(account.Credential, shadowsync.AllFields)
		}
		if record, ok := store.Records[u.Name]; ok {
			u.Store = sideOf(record.Credential, fields)
		}
		users = append(users, u)
	}
	return users, nil
}

func runUserList(ctx context.Context, a *app) error {
	return a.with(ctx, func(e *engine.Engine) error {
		parts, err := selected(e.Config, nil)
		if err != nil {
			return err
		}
		list := []userStatus{}
		for _, part := range parts {
			users, err := a.users(ctx, e, part)
			if err != nil {
				return err
			}
			list = append(list, users...)
		}
		a.addSessions(ctx, list)
		if a.json {
			return a.printJSON(userList{list})
		}
		return a.showUsers(list)
	})
}

// userList is the object that `user list --json` prints.
type userList struct {
	Users []userStatus `json:"users"`
}

// addSessions looks for everybody's sessions at once. Without an answer they are not
// known, which is said, and is not the same as none.
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
		fmt.Fprintf(a.err, "shadowsync: warning: sessions are not known: %s\n", oneLine(err.Error()))
		return
	}
	for i := range users {
		if u := &users[i]; u.UID != nil {
			u.Sessions = append([]shadowsync.Session{}, all[*u.UID]...)
		}
	}
}

func (a *app) showUsers(list []userStatus) error {
	rows := [][]string{{"NAME", "APPLICATION", "STATE", "OS", "STORE", "CHANGED", "VALID UNTIL", "SESSIONS", "NOTES"}}
	for _, u := range list {
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
	return a.table("", rows)
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
		notes = append(notes, fmt.Sprintf("%d refused passwords", u.Failures))
	}
	if u.Protected != "" {
		notes = append(notes, "protected: "+u.Protected)
	}
	return strings.Join(notes, ", ")
}

func runUserShow(ctx context.Context, a *app, name string) error {
	return a.with(ctx, func(e *engine.Engine) error {
		parts, err := selected(e.Config, []string{name})
		if err != nil {
			return err
		}
		users, err := a.users(ctx, e, parts[0])
		if err != nil {
			return err
		}
		a.addSessions(ctx, users)
		if a.json {
			return a.printJSON(users[0])
		}
		return a.showUser(users[0])
	})
}

func (a *app) showUser(u userStatus) error {
	rows := [][]string{{"Account", u.Name}, {"Application", u.Application}}
	if u.UID != nil {
		rows = append(rows, []string{"UID", strconv.Itoa(*u.UID)})
	}
	if u.Protected != "" {
		rows = append(rows, []string{"Protected", u.Protected + ": its store may not change it"})
	}
	rows = append(rows, []string{"State", string(u.State)})
	if u.Reason != nil {
		rows = append(rows, []string{"Reason", *u.Reason})
	}
	if u.PendingSince != nil {
		rows = append(rows, []string{"Since", clock(*u.PendingSince)})
	}
	if u.LastChange != nil {
		rows = append(rows, []string{"Last change", clock(u.LastChange.At) + " " + who(*u.LastChange)})
	}
	if u.Failures > 0 {
		rows = append(rows, []string{"Failures", fmt.Sprintf("%d refused passwords", u.Failures)})
	}
	rows = append(rows, []string{"OS", u.OS.text()}, []string{"Store", u.Store.text()})
	for _, s := range u.Sessions {
		rows = append(rows, []string{"Session", sessionText(s)})
	}
	if u.Sessions == nil {
		rows = append(rows, []string{"Sessions", "not known"})
	}
	if err := a.table("", rows); err != nil {
		return err
	}
	for _, command := range u.next() {
		a.say("    %s", command)
	}
	return nil
}

// text is a side for people: "yescrypt, locked, changed 2026-11-21, at most 90 days".
func (s *sideStatus) text() string {
	if s == nil {
		return "not there, or not readable"
	}
	parts := []string{s.Format}
	add := func(ok bool, text string) {
		if ok {
			parts = append(parts, text)
		}
	}
	count := func(n *int, text string) {
		if n != nil {
			parts = append(parts, fmt.Sprintf(text, *n))
		}
	}
	add(s.Locked != nil && *s.Locked, "locked")
	add(s.MustChange != nil && *s.MustChange, "must change at the next login")
	add(s.LastChange != "", "changed "+s.LastChange)
	count(s.Min, "at least %d days")
	count(s.Max, "at most %d days")
	count(s.Warn, "warned %d days before")
	count(s.Inactive, "disabled %d days after")
	add(s.Expire != "", "account expires "+s.Expire)
	return strings.Join(parts, ", ")
}

// today is the last-change day of what is set now.
func today() shadowsync.Day { return shadowsync.DayOf(time.Now()) }
