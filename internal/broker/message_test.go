package broker

import (
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// TestUntilWhenTheGuardHolds: only for accounts for which the unit is guarded, and never too early.
func TestUntilWhenTheGuardHolds(t *testing.T) {
	soon := time.Now().Add(10 * time.Minute)
	a := config.Application{Name: "conductor", Unit: "128T.service"}
	o := shadowsync.Outcome{Account: "admin", State: shadowsync.Pending, Verdict: shadowsync.VerdictPending, Reason: "store: read-only file system"}
	const pending = "shadowsync: admin: NOT persisted (store: read-only file system); "
	for name, c := range map[string]struct {
		guard systemd.GuardStatus
		want  string
	}{
		"for another":  {systemd.GuardStatus{Mode: systemd.GuardPending, Accounts: []systemd.Guarded{{Account: "other"}}, Until: soon}, "it is as soon as the store takes it"},
		"by hand too":  {systemd.GuardStatus{Mode: systemd.GuardHeld, Accounts: []systemd.Guarded{{Account: "admin"}}}, "restart of 128T.service is held until it is"},
		"other store":  {systemd.GuardStatus{Mode: systemd.GuardPending, Accounts: []systemd.Guarded{{Account: "admin", Store: "roles"}}, Until: soon}, "it is as soon as the store takes it"},
		"to its limit": {systemd.GuardStatus{Mode: systemd.GuardPending, Accounts: []systemd.Guarded{{Account: "admin"}}, Until: soon}, "restart of 128T.service is held until it is" + atMost(soon, time.Now())},
	} {
		if said := Message([]engine.Settled{{Holder: a, Outcome: o}}, c.guard); said != pending+c.want {
			t.Errorf("%s: it says %q, want %q", name, said, c.want)
		}
	}
}

// TestNotInForce: what is in the store already is not called lost.
func TestNotInForce(t *testing.T) {
	o := shadowsync.Outcome{
		Account: "admin", State: shadowsync.Pending, Verdict: shadowsync.VerdictPending,
		Reason: (&shadowsync.NotInForceError{Reason: "reload of mosquitto.service failed: no answer in time"}).Error(),
	}
	const want = "shadowsync: admin: written to mqtt's credential store; NOT in force (reload of mosquitto.service failed: no answer in time); it is as soon as that works"
	if said := Message([]engine.Settled{{Holder: config.Application{Name: "mqtt", Unit: "mosquitto.service"}, Outcome: o}}, systemd.GuardStatus{}); said != want {
		t.Errorf("it says %q", said)
	}
}

// TestMessageAboutSeveralStores: one line if all have it, else a line for each that has not.
func TestMessageAboutSeveralStores(t *testing.T) {
	c, err := config.Parse([]byte(`[[application]]
name = "portal"
unit = "portal.service"
accounts = ["admin"]
[[application.store]]
driver = "sqlite"
[[application.store]]
store_name = "roles"
driver = "sqlite"
path = "/var/lib/roles.db"
[[application.store]]
store_name = "list"
driver = "sqlite"
path = "/var/lib/list.db"
`))
	if err != nil {
		t.Fatal(err)
	}
	kept := shadowsync.Outcome{State: shadowsync.InSync, Verdict: shadowsync.VerdictAdopt}
	down := shadowsync.Outcome{State: shadowsync.Pending, Verdict: shadowsync.VerdictPending, Reason: "store: connection refused"}
	refused := shadowsync.Outcome{State: shadowsync.Conflict, Verdict: shadowsync.VerdictRefused, Reason: "longer than 72 bytes"}
	queued := shadowsync.Outcome{State: shadowsync.Queued}
	guard := systemd.GuardStatus{Mode: systemd.GuardHeld, Accounts: []systemd.Guarded{{Account: "admin", Store: "roles"}}}
	for name, tc := range map[string]struct {
		outcomes []shadowsync.Outcome
		want     string
	}{
		"all":       {[]shadowsync.Outcome{kept, kept, kept}, "shadowsync: admin: persisted in portal's, portal.roles's and portal.list's credential stores"},
		"one not":   {[]shadowsync.Outcome{kept, down, kept}, "shadowsync: admin: NOT persisted (portal.roles: connection refused); restart of portal.service is held until it is"},
		"the first": {[]shadowsync.Outcome{down, kept, kept}, "shadowsync: admin: NOT persisted (portal: connection refused); it is as soon as the store takes it"},
		"two, each": {[]shadowsync.Outcome{refused, down, kept}, "shadowsync: admin: NOT persisted (portal refuses it: longer than 72 bytes); choose another password\n" +
			"shadowsync: admin: NOT persisted (portal.roles: connection refused); restart of portal.service is held until it is"},
		"late":     {[]shadowsync.Outcome{kept, queued, queued}, "shadowsync: admin: queued (shadowsync did not answer in time); it is persisted before the next start of portal.service"},
		"the rule": {[]shadowsync.Outcome{kept, {State: shadowsync.InSync, Verdict: shadowsync.VerdictApply}, kept}, "shadowsync: admin: NOT kept (the rule for this account prefers portal's credential store)"},
	} {
		t.Run(name, func(t *testing.T) {
			var all []engine.Settled
			for i, o := range tc.outcomes {
				o.Account = "admin"
				all = append(all, engine.Settled{Holder: c.Applications[i], Outcome: o})
			}
			if said := Message(all, guard); said != tc.want {
				t.Errorf("it says %q, want %q", said, tc.want)
			}
		})
	}
}

func TestAtMost(t *testing.T) {
	at := func(day, hour, minute, second int) time.Time {
		return time.Date(2026, 11, day, hour, minute, second, 0, time.Local)
	}
	now := at(28, 17, 32, 0)
	for want, until := range map[string]time.Time{
		"":                                  {},
		" (at most until 17:42)":            at(28, 17, 42, 0),
		" (at most until 17:43)":            at(28, 17, 42, 1),
		" (at most until 2026-11-29 00:02)": at(29, 0, 2, 0),
		" (at most until 2026-11-29 00:00)": at(28, 23, 59, 30),
	} {
		if said := atMost(until, now); said != want {
			t.Errorf("%v: it says %q, want %q", until, said, want)
		}
	}
}
