package pcli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/since"
	"github.com/shadowsync/shadowsync/pcli/grammar"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var errTime = errors.New("cannot understand the time")

// who is the account that a show command means: empty for one's own.
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
	return s.console.Page(userTable(users))
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
		text += userRecord(u)
	}
	return s.console.Page(text)
}

func userTable(users []operator.User) string {
	head := []string{"Username", "Full Name", "Roles", "Enabled", "Sessions", "State"}
	var rows [][]string
	for _, u := range users {
		rows = append(rows, []string{
			u.Name, u.FullName, string(u.Role), strconv.FormatBool(u.Enabled), strconv.Itoa(u.Sessions), string(u.State),
		})
	}
	return table(head, rows)
}

// userRecord begins with the appliance's lines; ours follow.
func userRecord(u operator.User) string {
	state := string(u.State)
	if u.Reason != "" {
		state += " (" + u.Reason + ")"
	}
	return record("Information for "+u.Name+":", [][2]string{
		{"Enabled", strconv.FormatBool(u.Enabled)},
		{"Full Name", u.FullName},
		{"Role", string(u.Role)},
		{"Application", u.Application},
		{"Login Shell", u.Shell},
		{"Locked", ifTrue(u.Locked)},
		{"Password Format", u.Format},
		{"Password Changed", u.LastChange},
		{"Password Expires", u.Expires},
		{"Must Change Password", ifTrue(u.MustChange)},
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
	return s.console.Page(sessionTable(sessions))
}

func sessionTable(sessions []operator.Session) string {
	var rows [][]string
	for _, one := range sessions {
		id := one.ID
		if one.Own {
			id += " (this one)"
		}
		rows = append(rows, []string{one.User, id, one.Kind, one.Terminal, one.Remote, clock(one.Since)})
	}
	return table([]string{"Username", "Session", "Type", "Terminal", "From", "Since"}, rows)
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
	return s.console.Page(activityTable(events))
}

func activityOf(c grammar.Call, now time.Time) (operator.Activity, error) {
	a := operator.Activity{User: c.Get("NAME")}
	a.Rows, _ = strconv.Atoi(c.Get("rows")) // the grammar saw to it that it is one
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

func activityTable(events []shadowsync.Event) string {
	var rows [][]string
	for _, e := range events {
		result := string(e.Result)
		if e.Reason != "" {
			result = strings.TrimPrefix(result+": "+e.Reason, ": ")
		}
		rows = append(rows, []string{clock(e.At), e.Account, e.Action, by(e.Origin), result})
	}
	return table([]string{"Time", "Username", "Action", "By", "Result"}, rows)
}

// by names the person, and the uid in whose name they acted if that is another.
func by(o shadowsync.Origin) string {
	text := o.By
	if o.Login != "" && o.Login != o.By {
		text = o.Login + " as " + o.By
	}
	if o.Program != "" {
		text += " (" + o.Program + ")"
	}
	return strings.TrimSpace(text)
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
	return s.console.Page(table([]string{"Username", "Application", "State", "Guard", "Last Change", "Reason"}, rows))
}

func why(one operator.SyncState) string {
	if one.PendingSince.IsZero() {
		return one.Reason
	}
	return strings.TrimSpace(one.Reason + " since " + clock(one.PendingSince))
}

// clock is a time in the machine's own zone.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}
