package engine

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// free brakes nobody.
type free struct{}

func (free) Begin(factor.Count, time.Time) time.Duration { return 0 }
func (free) Spare(factor.Count)                          {}
func (free) Forgive(factor.Count)                        {}
func (free) Due(string, time.Time) (int, bool)           { return 0, true }

func (s system) enrols(t *testing.T, account string) {
	t.Helper()
	f, subject := s.engine.Factors(free{}), factor.Subject{Realm: factor.Local, Account: account}
	secret, err := f.Begin(t.Context(), factor.Beginning{Subject: subject, ByRoot: true})
	if err == nil {
		_, err = f.Confirm(t.Context(), factor.Attempt{Subject: subject, Code: totp.Code(secret, totp.StepAt(time.Now()))})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEnrolledList: the broker's start writes the list, empty too, and mends it. An account of which
// the list says more than the state must be reset.
func TestEnrolledList(t *testing.T) {
	s := mount(t, 3)
	keep := func(want string) {
		t.Helper()
		if err := s.engine.KeepEnrolled(t.Context()); err != nil {
			t.Error(err)
		}
		if list := s.text(t, EnrolledList); list != want {
			t.Errorf("the list is %q, want %q", list, want)
		}
	}
	keep("")
	s.enrols(t, "admin")
	keep("admin\tlocal\tenrolled\t1000\n")
	for _, spoilt := range []string{"", "admin\tlocal\tenrolled\n", "admin"} { // the state knows whom it named
		write(t, s.path(EnrolledList), spoilt, 0o600)
		keep("admin\tlocal\tenrolled\t1000\n")
	}

	options := s.engine.options
	if err := s.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path(StateDir+"/"+state.FileName), s.path("gone")); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.engine, err = Open(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	defer s.engine.Close()
	for _, line := range []string{"", "not a line", "x\tnis\tenrolled\t1", "\tlocal\tenrol\t1", "x\tlocal\tenrolled\tx", "x\tlocal\t\t1", "x\tlocal\tenrol\t1\t"} {
		damaged := "admin\tlocal\tenrolled\t1000\n" + line + "\n"
		write(t, s.path(EnrolledList), damaged, 0o600)
		err := s.engine.KeepEnrolled(t.Context())
		if list := s.text(t, EnrolledList); !errors.Is(err, factor.ErrList) || list != damaged {
			t.Errorf("a damaged list that the state does not know: %v, %q", err, list)
		}
	}
	write(t, s.path(EnrolledList), "admin\tlocal\tenrolled\t7\nadmin\tlocal\tenrolled\t-\n", 0o600)
	keep("admin\tlocal\tenrol\t1000\n")
	keep("admin\tlocal\tenrol\t1000\n")
	lost := 0
	for r, err := range s.engine.State.Trail(t.Context(), state.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Event.Action == ActionLost && r.Event.Account == "admin" && r.Event.Application == "app" {
			lost++
		}
	}
	if lost != 1 {
		t.Errorf("the loss is %d times in the audit", lost)
	}

	f, admin := s.engine.Factors(free{}), factor.Subject{Realm: factor.Local, Account: "admin"}
	for _, code := range []string{"", "abcdefgh", "000000"} {
		if _, err := f.Begin(t.Context(), factor.Beginning{Subject: admin, Code: []byte(code)}); err == nil {
			t.Errorf("enrolled anew with the code %q", code)
		}
	}
	if _, err := f.Check(t.Context(), factor.Attempt{Subject: admin, Code: []byte("000000")}); !errors.Is(err, factor.ErrNotEnrolled) {
		t.Errorf("a code: %v", err)
	}
	if code, err := f.Reset(t.Context(), admin, nil, shadowsync.Origin{}); err != nil || code == "" {
		t.Errorf("a reset gives %q, %v", code, err)
	}
}

// TestMendEnrolled: root has looked at a damaged list.
func TestMendEnrolled(t *testing.T) {
	s := mount(t, 3)
	write(t, s.path(EnrolledList), "torn", 0o600)
	err := WriteEnrolled(t.Context(), s.engine.Root(), s.engine.State)
	if mended := MendEnrolled(t.Context(), s.engine.Root(), s.engine.State); !errors.Is(err, factor.ErrList) || mended != nil || s.text(t, EnrolledList) != "" {
		t.Errorf("%v, mended %v: %q", err, mended, s.text(t, EnrolledList))
	}
}

// TestListOutlivesTheState: whoever is in the list stays in it when others enrol, or it is mended,
// before the broker has found out that the state was lost.
func TestListOutlivesTheState(t *testing.T) {
	s := mount(t, 3)
	write(t, s.path(EnrolledList), "admin\tlocal\tenrolled\n", 0o600)
	s.enrols(t, "user222")
	if list := s.text(t, EnrolledList); list != "user222\tlocal\tenrolled\t-\nadmin\tlocal\tenrol\t-\n" {
		t.Errorf("after an enrolment the list is %q", list)
	}
	for range 2 {
		if err := WriteEnrolled(t.Context(), s.engine.Root(), s.engine.State); err != nil {
			t.Fatal(err)
		}
		if list := s.text(t, EnrolledList); list != "admin\tlocal\tenrol\t1000\nuser222\tlocal\tenrolled\t-\n" {
			t.Errorf("mended, the list is %q", list)
		}
	}
	r, err := s.engine.State.Factor(t.Context(), factor.Subject{Realm: factor.Local, Account: "admin"})
	if err != nil || !r.Asked() {
		t.Errorf("the record is %+v, %v", r, err)
	}
}

func TestClockMatters(t *testing.T) {
	var c config.Config
	c.SecondFactor.Required = config.RequiredNobody
	enrolled, pending := factor.Record{State: factor.Enrolled}, factor.Record{State: factor.Pending}
	if ClockMatters(&c, []factor.Record{pending}) || !ClockMatters(&c, []factor.Record{pending, enrolled}) {
		t.Error("it is not about who is enrolled")
	}
	if c.SecondFactor.Required = config.RequiredAdmins; !ClockMatters(&c, nil) {
		t.Error("it is not about what is required")
	}
}
