package page

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/since"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

func (v *visit) sessionsPage() error { return v.showSessions(problem{}) }

func (v *visit) showSessions(p problem) error {
	all, err := v.login.Sessions(v.ctx, "")
	if err != nil {
		return err
	}
	return v.show("sessions", view{Title: "Your sessions", Problem: p, Data: all})
}

// endOwnSessions is "sign out everywhere".
func (v *visit) endOwnSessions() error {
	const id = "end-sessions"
	shown, err := v.proof(id)
	if err != nil {
		return v.again(err, id, nil, v.showSessions)
	}
	ended, err := v.login.EndSessions(v.ctx, "", shown)
	if err != nil {
		return v.again(err, id, aboutProof, v.showSessions)
	}
	v.leave()
	title, done := "Signed out everywhere", "All your sessions have ended, this one too."
	if len(ended.Survivors) > 0 {
		title, done = "Signed out", plural.Count(len(ended.Ended), "session")+" of yours ended, this one too."
	}
	return v.show("signin", view{Title: title, Done: done, Notes: remains(ended), Data: signInData{}})
}

// aboutProof: a refusal is about the proof.
var aboutProof = fields{web.NotAuthenticated: "proof", web.CodeRefused: "proof"}

// remains names the sessions that did not end, and the ways in that stay open.
func remains(e web.Ended) (notes []string) {
	for _, one := range e.Survivors {
		notes = append(notes, "This session did not end: "+strings.Join(strings.Fields(one.Kind+" "+one.Terminal+" "+one.Remote), " ")+".")
	}
	return append(notes, e.Doors...)
}

// activityData is a list of records with the filter that chose them.
type activityData struct {
	User, From, To, Rows string
	Action               string // of the form
	ByUser               bool   // there is a field for the account
	Events               []event
}

type event struct {
	At                          time.Time
	Account, Action, By, Result string
}

// mostRows is how many records a page shows.
const mostRows = 1000

func (v *visit) activity() error { return v.showActivity("Your activity", false) }

func (v *visit) audit() error { return v.showActivity("Audit", true) }

func (v *visit) showActivity(title string, byUser bool) error {
	query := v.r.URL.Query()
	data := activityData{From: query.Get("from"), To: query.Get("to"), Rows: query.Get("rows"), Action: v.r.URL.Path, ByUser: byUser}
	user := v.person.Name
	if byUser {
		data.User = query.Get("user")
		user = data.User
	}
	asked, p := asking(data)
	var err error
	if p.Status == 0 {
		var records []shadowsync.Event
		if records, err = v.login.Activity(v.ctx, user, asked); err == nil {
			data.Events = events(records)
		}
	}
	shown := func(p problem) error { return v.show("activity", view{Title: title, Problem: p, Data: data}) }
	if err != nil {
		return v.again(err, "filter", fields{web.NoAccount: "user"}, shown)
	}
	return shown(p)
}

// asking reads the filter.
func asking(d activityData) (a web.Activity, p problem) {
	wrong := func(field, text string) problem {
		return problem{http.StatusUnprocessableEntity, "filter", field, text}
	}
	for _, one := range []struct {
		field, text string
		to          *time.Time
	}{{"from", d.From, &a.From}, {"to", d.To, &a.To}} {
		if one.text == "" {
			continue
		}
		t, err := since.Parse(one.text, time.Now())
		if err != nil {
			return a, wrong(one.field, "Write a time like 2026-11-21, “2026-11-21 10:00”, yesterday, 10:00 or 2 hours ago.")
		}
		*one.to = t
	}
	if d.Rows != "" {
		n, err := strconv.Atoi(d.Rows)
		if err != nil || n < 1 || n > mostRows {
			return a, wrong("rows", "Write a number from 1 to "+strconv.Itoa(mostRows)+".")
		}
		a.Rows = n
	}
	return a, problem{}
}

func events(records []shadowsync.Event) (all []event) {
	for _, e := range records {
		all = append(all, event{e.At, e.Account, e.Action, by(e.Origin), e.Outcome()})
	}
	return all
}

// by names the person, what they used, and where they came from.
func by(o shadowsync.Origin) string {
	text := o.Person()
	if o.Remote != "" {
		text += " from " + o.Remote
	}
	return strings.TrimSpace(text + o.Settled())
}

// sessionsEnded says how many.
func sessionsEnded(e web.Ended, name string) string {
	return plural.Count(len(e.Ended), "session") + " of " + name + " ended."
}
