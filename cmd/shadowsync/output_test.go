package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestJSONIsHarmlessAndWhole(t *testing.T) {
	text := "plain ü\n\x1b[2J\x7f\u0085\u202e\U000e0001 \\ <&>"
	out, err := jsonText(map[string]string{"k": text}, "")
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexAny(strings.TrimSpace(string(out)), "\n\x1b\x7f\u0085\u202e\U000e0001"); i >= 0 {
		t.Errorf("raw at %d in %q", i, out)
	}
	var back map[string]string
	if err := json.Unmarshal(out, &back); err != nil || back["k"] != text {
		t.Errorf("came back as %q, %v", back["k"], err)
	}
}

func TestFormatOf(t *testing.T) {
	for hash, want := range map[string]string{
		"": "none", "*": "disabled", "!": "disabled", "!!": "disabled", "plain": "unknown",
		"$6$saltsalt$" + strings.Repeat("a", 86): "sha512crypt",
	} {
		if got := formatOf(hash); got != want {
			t.Errorf("%q: got %q, want %q", hash, got, want)
		}
	}
}

// TestStatusJSON checks the contract's field names.
func TestStatusJSON(t *testing.T) {
	uid := 0
	reason := "store: read-only file system"
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	s := systemStatus{Node: nodeStatus{"node1", "conductor"}, Applications: []applicationStatus{{
		Name: "conductor", Unit: "128T.service", UnitState: "active", Guard: "on", Store: storeStatus{Driver: "json", State: storeOK},
		Counts: stateCounts{shadowsync.InSync: 1, shadowsync.Pending: 1},
		Accounts: []accountStatus{
			{Name: "admin", State: shadowsync.Pending, Reason: &reason, PendingSince: stamp(at), LastChange: &shadowsync.Origin{
				At: at, SeenBy: shadowsync.SeenByPAM, By: "root", UID: &uid, Program: "passwd",
			}},
			{Name: "user222", State: shadowsync.InSync},
		},
	}}}
	var out bytes.Buffer
	a := &app{out: &out}
	if err := a.printJSON(s); err != nil {
		t.Fatal(err)
	}
	const want = `{"node":{"name":"node1","asset":"conductor"},"broker":{"state":""},"configuration":{"file":"","state":""},"applications":[{"name":"conductor","unit":"128T.service",` +
		`"unit_state":"active","guard":"on","store":{"driver":"json","state":"ok"},"counts":{"in-sync":1,"pending":1},"accounts":[` +
		`{"name":"admin","state":"pending","reason":"store: read-only file system","pending_since":"2026-11-21T10:00:00Z",` +
		`"last_change":{"at":"2026-11-21T10:00:00Z","seen_by":"pam","by":"root","uid":0,"program":"passwd"}},` +
		`{"name":"user222","state":"in-sync","reason":null,"pending_since":null,"last_change":null}]}]}`
	var got bytes.Buffer
	if err := json.Compact(&got, out.Bytes()); err != nil || got.String() != want {
		t.Errorf("got  %s\nwant %s", got.String(), want)
	}
}

// TestStatusForPeople: problems come first, with the command that helps.
func TestStatusForPeople(t *testing.T) {
	reason := "OS and store changed to different values"
	var out bytes.Buffer
	a := &app{out: &out}
	err := a.showStatus(systemStatus{Clock: clockAdrift, Applications: []applicationStatus{{
		Name: "conductor", Unit: "128T.service", UnitState: "active", Guard: "off", Store: storeStatus{Driver: "json", State: storeOK},
		Counts: stateCounts{shadowsync.InSync: 1, shadowsync.Conflict: 1},
		Accounts: []accountStatus{
			{Name: "user222", State: shadowsync.InSync},
			{Name: "admin", State: shadowsync.Conflict, Reason: &reason, choices: []shadowsync.Side{shadowsync.OSSide, shadowsync.StoreSide}},
		},
	}}})
	want := `clock: unsynchronised, and codes of second factors depend on it
    timedatectl set-ntp true

conductor  128T.service (active)  store json (ok)  guard off
  1 in-sync, 1 conflict
  ACCOUNT  STATE     SINCE  LAST CHANGE
  admin    conflict
  user222  in-sync

  admin: conflict: OS and store changed to different values
    shadowsync sync admin --prefer os     the OS's password wins
    shadowsync sync admin --prefer store  the store's password wins
`
	if err != nil || out.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out.String(), want)
	}
}

// Whoever finds a unit that cannot be restarted learns how to lift the guard.
func TestStatusNamesTheRelease(t *testing.T) {
	for name, tc := range map[string]struct {
		guard    string
		accounts []string
		want     string // the command; empty: none
	}{
		"off":                        {"off", nil, ""},
		"pending":                    {"on", []string{"admin"}, "shadowsync guard release 128T.service --force\n"},
		"by hand":                    {"held", nil, "shadowsync guard release 128T.service\n"},
		"by hand, with some pending": {"held", []string{"admin"}, "shadowsync guard release 128T.service --force\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			a := &app{out: &out}
			err := a.showStatus(systemStatus{Applications: []applicationStatus{{Unit: "128T.service", Guard: tc.guard, GuardAccounts: tc.accounts, Store: storeStatus{State: storeOK}}}})
			if err != nil || tc.want != "" && !strings.Contains(out.String(), tc.want) || tc.want == "" && strings.Contains(out.String(), "release") {
				t.Errorf("%v, got\n%s", err, out.String())
			}
		})
	}
}

// A guard that is being lifted has no accounts any more, and systemd still refuses a restart.
func TestCheckOfAGuardBeingLifted(t *testing.T) {
	for name, tc := range map[string]struct {
		guard    string
		accounts []string
		want     error
	}{
		"off":          {"off", nil, nil},
		"being lifted": {"on", nil, errNotInSync},
		"of another":   {"on", []string{"admin"}, nil}, // and admin is not looked at
		"by hand":      {"held", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := systemStatus{Applications: []applicationStatus{{Name: "conductor", Guard: tc.guard, GuardAccounts: tc.accounts, Store: storeStatus{State: storeOK}}}}
			if err := s.check(); !errors.Is(err, tc.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAccountOf(t *testing.T) {
	os := &shadowsync.Credential{}
	outcome := func(v shadowsync.Verdict) shadowsync.Outcome {
		return shadowsync.Outcome{Account: "admin", Verdict: v, State: v.State(), OS: os}
	}
	open := func(s shadowsync.ChangeState) *shadowsync.Change { return &shadowsync.Change{State: s, Reason: "why"} }
	for name, tc := range map[string]struct {
		outcome shadowsync.Outcome
		open    *shadowsync.Change
		want    shadowsync.ChangeState
	}{
		"quiet":                           {outcome(shadowsync.VerdictNothing), nil, shadowsync.InSync},
		"both sides the same":             {outcome(shadowsync.VerdictAgree), nil, shadowsync.InSync},
		"a difference":                    {outcome(shadowsync.VerdictAdopt), nil, shadowsync.Queued},
		"the store moved":                 {outcome(shadowsync.VerdictApply), nil, shadowsync.Queued},
		"announced":                       {outcome(shadowsync.VerdictAdopt), open(shadowsync.Queued), shadowsync.Queued},
		"a crash before the commit":       {outcome(shadowsync.VerdictNothing), open(shadowsync.Queued), shadowsync.Queued},
		"the store is back":               {outcome(shadowsync.VerdictAdopt), open(shadowsync.Pending), shadowsync.Pending},
		"the store is away":               {outcome(shadowsync.VerdictPending), nil, shadowsync.Pending},
		"conflict":                        {outcome(shadowsync.VerdictConflict), open(shadowsync.Conflict), shadowsync.Conflict},
		"a conflict that went by itself":  {outcome(shadowsync.VerdictAgree), open(shadowsync.Conflict), shadowsync.Queued},
		"refused":                         {outcome(shadowsync.VerdictRefused), nil, shadowsync.Conflict},
		"the store takes another format":  {outcome(shadowsync.VerdictNeedsLogin), nil, shadowsync.NeedsLogin},
		"the account is gone on one side": {outcome(shadowsync.VerdictMissing), nil, shadowsync.Missing},
	} {
		t.Run(name, func(t *testing.T) {
			got := accountOf(tc.outcome, shadowsync.AccountMemory{Open: tc.open})
			if got.State != tc.want || got.wrong() && len(got.next()) == 0 {
				t.Errorf("got %+v, next %q", got, got.next())
			}
		})
	}
}

// A store that holds the change needs no repair: its server has not read it.
func TestNextOfAPendingChange(t *testing.T) {
	for reason, want := range map[string]string{
		"store: no space left on device":                                            "repair the store; ",
		(&shadowsync.NotInForceError{Reason: "reload of a.service failed"}).Error(): "repair what the reload fails at; ",
	} {
		s := accountStatus{Name: "admin", State: shadowsync.Pending, Reason: &reason}
		if next := s.next(); len(next) != 2 || !strings.HasPrefix(next[0], want) || next[1] != "shadowsync sync admin" {
			t.Errorf("%s: %q", reason, next)
		}
	}
}
