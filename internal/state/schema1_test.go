package state

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// schema1 opens a state that a shadowsync with the first schema wrote.
func schema1(t *testing.T) *DB { t.Helper(); return written(t, 1) }

// written opens a state as a shadowsync with that schema wrote it: a file of testdata, which is
// never regenerated.
func written(t *testing.T, schema int) *DB {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("testdata/schema%d.db", schema))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return openIn(t, dir)
}

// TestTheFirstSchemaReadsAsItWas: no record in it is a new wish, no open change is lost, and what
// the application may remember is still known.
func TestTheFirstSchemaReadsAsItWas(t *testing.T) {
	const fields = shadowsync.FieldHash | shadowsync.FieldLocked
	accounts := load(t, schema1(t), nil).Accounts
	field := func(text string) shadowsync.Credential {
		c := shadowsync.NoAgeing()
		c.LastChange, c.Max = 20000, 99999
		c.Hash, c.Locked = shadowsync.ParsePassword(text)
		return c
	}
	for name, text := range map[string]struct{ now, before string }{
		"admin":  {"$6$s$new", "$6$s$old"},
		"locked": {"!$6$s$new", "!$6$s$old"},
		"twice":  {"!!$6$s$new", "!!$6$s$old"},
	} {
		m, ok := accounts[name]
		if !ok || len(m.Record) != 1 || m.LastChange == nil || m.LastChange.Program != "passwd" {
			t.Fatalf("%s is %+v", name, m)
		}
		now, before := field(text.now), shadowsync.Credential{}.With(field(text.before), fields)
		store := shadowsync.Credential{}.With(now, fields)
		in := shadowsync.Input{OS: &now, Store: &store, Fields: fields, Baseline: m.Baseline, Record: m.Record, Past: m.Past, Today: 20500}
		if d := shadowsync.Merge(in); d.Verdict != shadowsync.VerdictNothing {
			t.Errorf("%s reads as %s: %s", name, d.Verdict, d.Reason)
		}
		for _, record := range []shadowsync.Record{m.Record, nil} { // also by the past alone
			in.Store, in.Record = &before, record
			if d := shadowsync.Merge(in); d.Verdict != shadowsync.VerdictAdoptAgain || d.Store.Password() != now.Password() {
				t.Errorf("%s: the application's old value reads as %s", name, d.Verdict)
			}
		}
	}
	open := accounts["pending"].Open
	if open == nil || open.State != shadowsync.Pending || open.OS.Hash != "$6$s$wish" || !accounts["pending"].Guards() {
		t.Errorf("the pending change is %+v", open)
	}
}

// TestTheFirstSchemaIsRehoused: its applications had no recorded unit.
func TestTheFirstSchemaIsRehoused(t *testing.T) {
	db := schema1(t)
	rehouse(t, db, "1", House{Application: "conductor", Unit: "128T.service", Accounts: []string{"admin", "locked", "twice", "pending"}})
	rehouse(t, db, "2", House{Application: "router", Unit: "128T.service", Accounts: []string{"admin", "locked", "twice", "pending"}})
	memory, err := db.Load(t.Context(), "router", nil)
	if err != nil || len(memory.Accounts) != 4 || memory.Accounts["pending"].Open == nil || memory.Accounts["admin"].Baseline == nil {
		t.Errorf("%+v (%v)", memory, err)
	}
	if held, err := db.Held(t.Context(), "router"); held || err != nil {
		t.Errorf("held by hand: %v (%v)", held, err)
	}
	if err := db.SetHeld(t.Context(), "router", true); err != nil {
		t.Fatal(err)
	}
	rehouse(t, db, "3", House{Application: "gateway", Unit: "128T.service", Accounts: []string{"admin", "locked", "twice", "pending"}})
	if held, err := db.Held(t.Context(), "gateway"); !held || err != nil {
		t.Errorf("the hold did not go along: %v (%v)", held, err)
	}
}

// rehouse follows a configuration of that revision, on an OS whose accounts all have their present
// password and uid 1000.
func rehouse(t *testing.T, db *DB, revision string, houses ...House) (actions []string) {
	t.Helper()
	events, err := db.Rehouse(t.Context(), revision, houses, func(names []string) (map[string]shadowsync.Account, error) {
		known := map[string]shadowsync.Account{}
		for _, name := range names {
			if name == "renamed" {
				c := sampleCredential(1)
				known[name] = shadowsync.Account{Name: name, UID: 1000, Credential: c}
			}
		}
		return known, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		actions = append(actions, e.Action+" "+e.Application+" "+e.Account)
	}
	return actions
}

// TestNamesThatWereEdited: the state follows, and reports it.
func TestNamesThatWereEdited(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		after    []House
		want     string // what is reported
		in       place  // where admin's state is then
		baseline bool
	}{
		"the application's name": {[]House{{Application: "router", Unit: "a.service", Accounts: []string{"admin"}}, {Application: "b", Unit: "b.service", Accounts: []string{"other"}}}, "renamed router ", place{"router", "admin"}, true},
		"two names exchanged":    {[]House{{Application: "b", Unit: "a.service", Accounts: []string{"admin"}}, {Application: "a", Unit: "b.service", Accounts: []string{"other"}}}, "renamed b ", place{"b", "admin"}, true},
		"the unit":               {[]House{{Application: "a", Unit: "c.service", Accounts: []string{"admin"}}, {Application: "b", Unit: "b.service", Accounts: []string{"other"}}}, "renamed a ", place{"a", "admin"}, true},
		"another application":    {[]House{{Application: "a", Unit: "a.service", Accounts: []string{}}, {Application: "b", Unit: "b.service", Accounts: []string{"other", "admin"}}}, "moved b admin", place{"b", "admin"}, false},
		"the account's name":     {[]House{{Application: "a", Unit: "a.service", Accounts: []string{"renamed"}}, {Application: "b", Unit: "b.service", Accounts: []string{"other"}}}, "renamed a renamed", place{"a", "renamed"}, false},
		"taken out":              {[]House{{Application: "a", Unit: "a.service", Accounts: []string{}}, {Application: "b", Unit: "b.service", Accounts: []string{"other"}}}, "kept a admin", place{"a", "admin"}, true},
		"the application gone":   {[]House{{Application: "b", Unit: "b.service", Accounts: []string{"other"}}}, "left a admin", place{"a", "admin"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			db := openIn(t, t.TempDir())
			rehouse(t, db, "1", House{Application: "a", Unit: "a.service", Accounts: []string{"admin"}}, House{Application: "b", Unit: "b.service", Accounts: []string{"other"}})
			tr := sampleTransition("admin", 1)
			tr.Baseline = &shadowsync.Baseline{OS: sampleCredential(1), Store: sampleCredential(1)}
			tr.Person = "1000"
			tr.Open = &shadowsync.Change{Account: "admin", State: shadowsync.Pending, Verdict: shadowsync.VerdictPending, OS: sampleCredential(2), Since: at, Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByPAM}}
			if err := db.Commit(t.Context(), "a", []shadowsync.Transition{tr}); err != nil {
				t.Fatal(err)
			}
			told := rehouse(t, db, "2", c.after...)
			found := false
			for _, action := range told {
				found = found || action == c.want
			}
			if !found || rehouse(t, db, "2", c.after...) != nil {
				t.Errorf("told of %q, want %q", told, c.want)
			}
			memory, err := db.Load(t.Context(), c.in.application, []string{c.in.account})
			m := memory.Accounts[c.in.account]
			if err != nil || m.Open == nil || m.Open.OS != sampleCredential(2) || (m.Baseline != nil) != c.baseline || m.Person != "1000" {
				t.Errorf("admin is %+v (%v)", m, err)
			}
			if !c.baseline && (len(m.Record) == 0 || m.Record[0].OS != sampleCredential(1)) {
				t.Errorf("on record is %+v", m.Record)
			}
		})
	}
}
