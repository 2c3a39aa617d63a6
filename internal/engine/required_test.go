package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/config"
)

// TestRequired: who must have a second factor, from when on, and that the last administrator is not
// locked out.
func TestRequired(t *testing.T) {
	s := mount(t, 3)
	write(t, s.path("/etc/group"), "root:x:0:\nboss:x:100:admin,user1\n", 0o644)
	s.engine.Protect = protect.New(protect.Options{Root: s.path(""), Admins: []string{"boss"}})
	begun := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	require := func(who config.Required, now time.Time) {
		t.Helper()
		s.engine.Config.SecondFactor = config.SecondFactor{Required: who, Days: 14}
		if err := s.engine.KeepRequired(now); err != nil {
			t.Fatal(err)
		}
	}
	duty := func(account string, after time.Duration, want Duty) {
		t.Helper()
		if got, err := s.engine.Duty(t.Context(), account, begun.Add(after)); err != nil || got != want {
			t.Errorf("%s after %v: %+v, %v, want %+v", account, after, got, err, want)
		}
	}
	const day = 24 * time.Hour
	until := begun.Add(14 * day)

	require(config.RequiredNobody, begun)
	duty("admin", 100*day, Duty{})
	require(config.RequiredAdmins, begun)
	require(config.RequiredAdmins, begun.Add(9*day)) // another start
	duty("admin", 13*day, Duty{Enrol: true, Until: until})
	duty("admin", 15*day, Duty{Enrol: true, Until: until}) // nobody else is enrolled
	duty("root", 15*day, Duty{})
	s.enrols(t, "user1")
	duty("admin", 15*day, Duty{Enrol: true, Must: true, Until: until})
	duty("user1", 15*day, Duty{Enrol: true, Until: until})
	shadow := s.text(t, "etc/shadow")
	write(t, s.path("etc/shadow"), strings.Replace(shadow, "user1:", "user1:!", 1), 0o640)
	duty("admin", 15*day, Duty{Enrol: true, Until: until}) // who is locked helps nobody
	write(t, s.path("etc/shadow"), shadow, 0o640)
	write(t, s.path("/etc/group"), "root:x:0:\nboss:x:100:user1\n", 0o644)
	duty("admin", 15*day, Duty{})

	require(config.RequiredEverybody, begun.Add(20*day))
	duty("admin", 33*day, Duty{Enrol: true, Until: begun.Add(34 * day)})
	duty("admin", 35*day, Duty{Enrol: true, Must: true, Until: begun.Add(34 * day)})
	duty("stranger", 35*day, Duty{})
	require(config.RequiredAdmins, begun.Add(40*day))
	if who, since := s.engine.requiredSince(); who != config.RequiredAdmins || !since.Equal(begun.Add(20*day)) {
		t.Errorf("required of %s since %v", who, since)
	}
	write(t, s.path(RequiredFile), "admins\n", 0o600)
	require(config.RequiredAdmins, begun.Add(50*day))
	if _, since := s.engine.requiredSince(); !since.Equal(begun.Add(50 * day)) {
		t.Errorf("after damage, since %v", since)
	}
	require(config.RequiredNobody, begun)
	if _, since := s.engine.requiredSince(); !since.IsZero() {
		t.Errorf("of nobody, since %v", since)
	}
}
