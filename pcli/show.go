package pcli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/term/since"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/pcli/grammar"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var errTime = errors.New("cannot understand the time")

// who is the account that a show command asks for; empty means one's own.
func who(c grammar.Call) string {
	if c.Has("all") {
		return operator.All
	}
	return c.Get("NAME")
}

func (s *Shell) showUser(c grammar.Call) error {
	if !c.Has("all") {
		return s.showAccount(c.Get("NAME"))
	}
	users, err := s.users(operator.All)
	if err != nil {
		return err
	}
	return s.page(userColumns, userRows(users))
}

func (s *Shell) users(name string) ([]operator.User, error) {
	return ask(s, func(ctx context.Context) ([]operator.User, error) { return s.client.ShowUser(ctx, name) })
}

func (s *Shell) showAccount(name string) error {
	users, err := s.users(name)
	if err != nil {
		return err
	}
	text := ""
	for _, u := range users {
		text += userRecord(s.console.Width(), u)
	}
	return s.console.Page(text)
}

var userColumns = []table.Column{
	{Head: "Username"},
	{Head: "Full Name", Wrap: true, Rank: 3},
	{Head: "Roles", Rank: 2},
	{Head: "Enabled", Rank: 1},
	{Head: "Sessions", Rank: 4},
	{Head: "State"},
}

func userRows(users []operator.User) (rows [][]string) {
	for _, u := range users {
		rows = append(rows, []string{
			u.Name, u.FullName, string(u.Role), strconv.FormatBool(u.Enabled), strconv.Itoa(u.Sessions), string(u.State),
		})
	}
	return rows
}

// userRecord shows the appliance's fields first, then ours.
func userRecord(width int, u operator.User) string {
	state := string(u.State)
	if u.Reason != "" {
		state += " (" + u.Reason + ")"
	}
	return record(width, "Information for "+u.Name+":", [][2]string{
		{"Enabled", strconv.FormatBool(u.Enabled)},
		{"Full Name", u.FullName},
		{"Role", string(u.Role)},
		{"Application", u.Application},
		{"Realm", u.Realm},
		{"Login Shell", u.Shell},
		{"Locked", ifTrue(u.Locked)},
		{"Password Format", u.Format},
		{"Password Changed", u.LastChange},
		{"Password Expires", u.Expires},
		{"Must Change Password", ifTrue(u.MustChange)},
		{"Second Factor", factorText(u)},
		{"Protected", u.Protected},
		{"State", state},
		{"Sessions", strconv.Itoa(u.Sessions)},
	})
}

func ifTrue(b bool) string {
	if b {
		return "true"
	}
	return ""
}

func (s *Shell) showSessions(c grammar.Call) error {
	name := who(c)
	sessions, err := ask(s, func(ctx context.Context) ([]operator.Session, error) { return s.client.Sessions(ctx, name) })
	if err != nil {
		return err
	}
	if len(sessions) == 0 {
		s.say("No sessions")
		return nil
	}
	return s.page(sessionColumns, sessionRows(sessions))
}

var sessionColumns = []table.Column{
	{Head: "Username"}, {Head: "Session", Wrap: true}, {Head: "Type", Rank: 2}, {Head: "Terminal", Rank: 1}, {Head: "From", Wrap: true}, {Head: "Since", Wrap: true},
}

func sessionRows(sessions []operator.Session) (rows [][]string) {
	for _, one := range sessions {
		id := one.ID
		if one.Own {
			id += " (this one)"
		}
		rows = append(rows, []string{one.User, id, one.Kind, one.Terminal, one.Remote, clock(one.Since)})
	}
	return rows
}

func (s *Shell) showActivity(c grammar.Call) error {
	a, err := activityOf(c, time.Now())
	if err != nil {
		return err
	}
	events, err := ask(s, func(ctx context.Context) ([]shadowsync.Event, error) { return s.client.Activity(ctx, a) })
	if err != nil {
		return err
	}
	if len(events) == 0 {
		s.say("No activity")
		return nil
	}
	return s.page(activityColumns, activityRows(events))
}

func activityOf(c grammar.Call, now time.Time) (operator.Activity, error) {
	a := operator.Activity{User: c.Get("NAME")}
	a.Rows, _ = strconv.Atoi(c.Get("rows")) // the grammar has checked that it is a number
	for _, bound := range []struct {
		word string
		time *time.Time
	}{{"from", &a.From}, {"to", &a.To}} {
		if !c.Has(bound.word) {
			continue
		}
		t, err := since.Parse(c.Get(bound.word), now)
		if err != nil {
			return a, fmt.Errorf("%w: %w", errTime, err)
		}
		*bound.time = t
	}
	return a, nil
}

var activityColumns = []table.Column{
	{Head: "Time"}, {Head: "Username"}, {Head: "Action"}, {Head: "By", Wrap: true}, {Head: "Result", Wrap: true},
}

func activityRows(events []shadowsync.Event) (rows [][]string) {
	for _, e := range events {
		rows = append(rows, []string{clock(e.At), e.Account, e.Action, by(e.Origin), e.Outcome()})
	}
	return rows
}

// by names the person.
func by(o shadowsync.Origin) string { return strings.TrimSpace(o.Person() + o.Settled()) }

var syncColumns = []table.Column{
	{Head: "Username"}, {Head: "Application", Rank: 1}, {Head: "State"}, {Head: "Guard", Rank: 2}, {Head: "Last Change", Rank: 3}, {Head: "Reason", Wrap: true},
}

func (s *Shell) showSync(grammar.Call) error {
	states, err := ask(s, s.client.Sync)
	if err != nil {
		return err
	}
	if len(states) == 0 {
		s.say("No accounts are managed")
		return nil
	}
	var rows [][]string
	for _, one := range states {
		last := ""
		if o := one.LastChange; o != nil {
			last = clock(o.At)
		}
		rows = append(rows, []string{one.Account, one.Application, string(one.State), one.Guard, last, why(one)})
	}
	return s.page(syncColumns, rows)
}

func why(one operator.SyncState) string {
	if one.PendingSince.IsZero() {
		return one.Reason
	}
	return strings.TrimSpace(one.Reason + " since " + clock(one.PendingSince))
}

// clock formats a time in the machine's time zone.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}
