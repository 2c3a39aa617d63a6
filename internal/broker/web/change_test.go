package web

import (
	"slices"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// told is what somebody who signs in now is told of the last change.
func (s *site) told(t *testing.T) *web.LastChange {
	t.Helper()
	p, err := s.With(s.signIn(t).Token).Who(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.LastChange
}

// TestLastChange: whoever begins a change of the password is told what became of it after signing in again, by the
// end that was noted, or, if the broker that made it died, by what the state says.
func TestLastChange(t *testing.T) {
	s := open(t, "")
	if last := s.told(t); last != nil {
		t.Errorf("nobody has begun a change: %+v", last)
	}
	l := s.With(s.signIn(t).Token)
	if _, err := l.SetPassword(t.Context(), secret(t, "wrong"), secret(t, "Something else 7")); kindOf(err) != web.NotAuthenticated {
		t.Fatalf("with a wrong password: %v", err)
	}
	if p, err := l.Who(t.Context()); err != nil || p.LastChange != nil {
		t.Errorf("the session that was told already: %+v, %v", p.LastChange, err)
	}
	if last := s.told(t); last == nil || last.Outcome != "the current password is not correct" || time.Since(last.Began) > time.Minute {
		t.Errorf("after a refusal: %+v", last)
	}
	began := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		change websession.Change
		born   time.Time
		want   string
	}{
		"noted":             {websession.Change{Account: "user", Realm: "local", Began: began, Outcome: "noted"}, time.Time{}, "noted"},
		"changed again":     {websession.Change{Account: "user", Realm: "local", Began: began}, began.Add(time.Minute), ""},
		"it goes on":        {websession.Change{Account: "user", Realm: "local", Began: time.Now()}, began, "it is not known yet whether the password was changed; look again in a moment"},
		"of another":        {websession.Change{Account: "former", Realm: "local", Began: began, Outcome: "noted"}, time.Time{}, ""},
		"of another realm":  {websession.Change{Account: "user", Realm: "ldap", Began: began, Outcome: "noted"}, time.Time{}, ""},
		"a day ago":         {websession.Change{Account: "user", Realm: "local", Began: began.Add(-24 * time.Hour), Outcome: "noted"}, time.Time{}, ""},
		"the clock was set": {websession.Change{Account: "user", Realm: "local", Began: began.Add(2 * time.Hour), Outcome: "noted"}, time.Time{}, ""},
	} {
		if err := s.sessions.KeepChange(1000, c.change); err != nil {
			t.Fatal(err)
		}
		pages := &Server{Operators: s.server.Operators, Config: s.server.Config, Sessions: s.sessions, Born: c.born, Log: s.server.Log}
		last := pages.lastChange(t.Context(), websession.Session{Account: "user", Realm: "local", UID: 1000, Since: time.Now()})
		if (last == nil) != (c.want == "") || last != nil && last.Outcome != c.want {
			t.Errorf("%s: %+v, want %q", name, last, c.want)
		}
	}
}

// TestChangePressedTwice: a change that is refused while another one goes on does not take its place on record.
func TestChangePressedTwice(t *testing.T) {
	s := open(t, "")
	l := s.With(s.signIn(t).Token)
	change := func() error {
		_, err := l.SetPassword(t.Context(), secret(t, "wrong"), secret(t, "Something else 7"))
		return err
	}
	notes := make(chan websession.Change, 2)
	note := func() {
		c, _, _ := s.sessions.ChangeOf(1000)
		notes <- c
	}
	s.during(func() error {
		s.during(nil)
		note()
		if err := change(); kindOf(err) != web.NotAuthenticated {
			t.Errorf("the second one: %v", err)
		}
		note()
		return nil
	})
	if err := change(); kindOf(err) != web.NotAuthenticated {
		t.Fatalf("the first one: %v", err)
	}
	first, then := <-notes, <-notes
	if first.Account != "user" || then != first {
		t.Errorf("on record is first %+v, and after the second one %+v", first, then)
	}
	if last := s.told(t); last == nil || !last.Began.Equal(first.Began) || last.Outcome != "the current password is not correct" {
		t.Errorf("after both: %+v", last)
	}
}

// TestRows: a list of records is bounded at a page, whatever is asked for.
func TestRows(t *testing.T) {
	s := open(t, "")
	l := s.With(s.signIn(t).Token)
	one := shadowsync.Event{At: time.Now(), Application: "app", Account: "user", Action: "noted"}
	if err := s.Engine.State.Audit(t.Context(), slices.Repeat([]shadowsync.Event{one}, 1000)...); err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[int]int{7: 7, 999: 999, 1000: 1000, 1001: 1000, 10_000: 1000} {
		events, err := l.Activity(t.Context(), "", web.Activity{Rows: asked})
		if err != nil || len(events) != want {
			t.Errorf("%d rows were asked for: %d, %v", asked, len(events), err)
		}
	}
}
