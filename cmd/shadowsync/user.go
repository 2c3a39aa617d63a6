package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/account/faillock"
	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func newUser(a *app) *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "List, show and change accounts"}
	c.AddCommand(
		newUserList(a), newUserShow(a),
		group("set", "Set a password or a mail address", newSetPassword(a), newSetMail(a)),
		group("reset", "Reset a password or a second factor", newResetPassword(a), newReset2FA(a)),
		group("expire", "Expire a password", newExpirePassword(a)),
		newLock(a), newUnlock(a), newUserSessions(a), newUserLogout(a),
		group("enrol", "Enrol a second factor", newEnrol2FA(a)),
		group("check", "Try a code of a second factor", newCheck2FA(a)),
		group("renew", "Renew the recovery codes of a second factor", group("2fa", "Renew the recovery codes", newRenewCodes(a))),
	)
	return c
}

// group is a command that only groups subcommands.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short}
	c.AddCommand(commands...)
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
	Realm       factor.Realm         `json:"realm"`
	UID         *int                 `json:"uid"`
	Protected   string               `json:"protected,omitempty"`
	OS          *sideStatus          `json:"os"`    // null: absent
	Store       *sideStatus          `json:"store"` // null: absent, or not readable
	Others      []otherStore         `json:"other_stores,omitempty"`
	Failures    int                  `json:"failures"` // failed logins that pam_faillock counts
	Factor      factor.State         `json:"second_factor"`
	Recovery    int                  `json:"recovery_codes_left"`
	FactorUsed  *time.Time           `json:"second_factor_used"` // null: never
	Mail        string               `json:"mail,omitempty"`
	Sessions    []shadowsync.Session `json:"sessions"` // null: unknown

	factor factor.Record
}

// otherStore is a store of the account's application besides the first one.
type otherStore struct {
	Application string                 `json:"application"`
	State       shadowsync.ChangeState `json:"state"`
	Reason      *string                `json:"reason"`
	Store       *sideStatus            `json:"store"`
}

// sideStatus is what one side holds. It omits fields that the store cannot hold.
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

// sideOf describes what a side with these fields holds; scheme is that of the store's values, or empty.
func sideOf(c shadowsync.Credential, fields shadowsync.Fields, scheme string) *sideStatus {
	c = shadowsync.NoAgeing().With(c, fields)
	s := &sideStatus{
		Format: storeFormat(scheme, c.Hash), LastChange: date(c.LastChange), Expire: date(c.Expire),
		Min: days(c.Min), Max: days(c.Max), Warn: days(c.Warn), Inactive: days(c.Inactive), until: shadowsync.NoDay,
	}
	if c.LastChange != shadowsync.NoDay && c.Max != shadowsync.NoDay && c.Max < bulk.MaxExpiry {
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

// users reads those of the selected accounts that f shows, on both sides, and counts the states of
// all that are selected.
func (a *app) users(ctx context.Context, e *engine.Engine, s selection, f filter) ([]userStatus, stateCounts, error) {
	status, err := a.inspectOne(ctx, e, s)
	if err != nil {
		return nil, nil, err
	}
	status.show(f)
	if len(status.Accounts) == 0 {
		return nil, status.Counts, nil
	}
	s.accounts = s.accounts[:0:0]
	for _, account := range status.Accounts {
		s.accounts = append(s.accounts, account.Name)
	}
	users, err := readUsers(ctx, e, a.root, s, status)
	return users, status.Counts, err
}

// readUsers reads the accounts of a status on both sides.
func readUsers(ctx context.Context, e *engine.Engine, root string, s selection, status applicationStatus) ([]userStatus, error) {
	os, err := e.Accounts.Read(ctx, s.accounts)
	if err != nil {
		return nil, err
	}
	r := e.Reconciler(s.application.Name)
	can := r.Store.Capabilities()
	var store shadowsync.StoreSnapshot
	if status.Store.State == storeOK {
		if store, err = r.Store.Read(ctx, s.accounts); err != nil {
			return nil, err
		}
	}
	standings := e.Protect.Glance(ctx, s.accounts...)
	if len(s.accounts) == 1 { // asking sudo about each of many accounts would take too long
		standings = e.Protect.Of(ctx, s.accounts...)
	}
	factors, err := factorsOf(ctx, e)
	if err != nil {
		return nil, err
	}
	failures := faillock.Of(root)
	users := make([]userStatus, 0, len(status.Accounts))
	for _, account := range status.Accounts {
		u := userStatus{accountStatus: account, Application: s.application.Name, Realm: factor.Local}
		u.addFactor(factors[account.Name])
		if u.Failures, err = failures.Count(u.Name); err != nil {
			return nil, err
		}
		if account, ok := os.Accounts[u.Name]; ok {
			u.UID, u.Protected, u.OS = &account.UID, standings[u.Name].AgainstStores(), sideOf(account.Credential, shadowsync.AllFields, "")
		}
		if record, ok := store.Accounts[u.Name]; ok {
			u.Store = sideOf(record.Credential, can.Fields, can.Scheme)
		}
		users = append(users, u)
	}
	return users, nil
}

// factorsOf returns what is kept of second factors of local accounts, by name.
func factorsOf(ctx context.Context, e *engine.Engine) (map[string]factor.Record, error) {
	all, err := e.State.Factors(ctx)
	found := map[string]factor.Record{}
	for _, r := range all {
		if r.Realm == factor.Local {
			found[r.Account] = r
		}
	}
	return found, err
}

func (u *userStatus) addFactor(r factor.Record) {
	u.factor = r
	u.Factor, u.Recovery, u.FactorUsed, u.Mail = cmp.Or(r.State, factor.None), r.RecoveryLeft(), stamp(r.UsedAt), r.Mail
}

func runUserShow(ctx context.Context, a *app, name string) error {
	return a.looking(ctx, func(e *engine.Engine) error {
		parts, unknown := selected(e.Config.Applications, []string{name})
		if unknown != nil {
			return a.showDirectoryUser(ctx, e, name)
		}
		users, _, err := a.users(ctx, e, parts[0], filter{})
		if err != nil {
			return err
		}
		for _, part := range parts[1:] {
			other, _, err := a.users(ctx, e, part, filter{})
			if err != nil {
				return err
			}
			u := other[0]
			users[0].Others = append(users[0].Others, otherStore{u.Application, u.State, u.Reason, u.Store})
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
		rows = append(rows, []string{"Failures", plural.Count(u.Failures, "refused password")})
	}
	if u.factor.Asked() || u.Factor == factor.Pending {
		rows = append(rows, []string{"Second factor", factorText(u.factor)})
	}
	if u.Mail != "" {
		rows = append(rows, []string{"Mail", u.Mail})
	}
	rows = append(rows, []string{"OS", u.OS.text()}, []string{"Store", u.Store.text()})
	for _, o := range u.Others {
		text := o.Store.text() + ": " + string(o.State)
		if o.Reason != nil {
			text += ": " + *o.Reason
		}
		rows = append(rows, []string{"Store " + o.Application, text})
	}
	for _, s := range u.Sessions {
		rows = append(rows, []string{"Session", sessionText(s)})
	}
	if u.Sessions == nil {
		rows = append(rows, []string{"Sessions", "not known"})
	}
	if err := a.table("", []table.Column{{}, {Wrap: true}}, rows); err != nil {
		return err
	}
	for _, command := range u.next() {
		a.say("    %s", a.named(command))
	}
	return nil
}

// text describes a side for people: "yescrypt, locked, changed 2026-11-21, at most 90 days".
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
			parts = append(parts, fmt.Sprintf(text, plural.Count(*n, "day")))
		}
	}
	add(s.Locked != nil && *s.Locked, "locked")
	add(s.MustChange != nil && *s.MustChange, "must change at the next login")
	add(s.LastChange != "", "changed "+s.LastChange)
	count(s.Min, "at least %s")
	count(s.Max, "at most %s")
	count(s.Warn, "warned %s before")
	count(s.Inactive, "disabled %s after")
	add(s.Expire != "", "account expires "+s.Expire)
	return strings.Join(parts, ", ")
}
