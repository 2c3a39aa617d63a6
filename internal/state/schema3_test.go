package state

import (
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestThePresentSchemaHasAnExample: a new migration needs a state that its shadowsync wrote, for
// later versions to open. Take it with VACUUM INTO from a test machine on which accounts were
// changed, locked and left pending.
func TestThePresentSchemaHasAnExample(t *testing.T) {
	db := written(t, len(migrations))
	if version := schemaOf(t, db); version != len(migrations) {
		t.Errorf("the example has schema %d, want %d", version, len(migrations))
	}
}

// TestTheThirdSchemaReadsAsItWas opens what the shadowsync of 2026-11-28 wrote on a machine: each
// password was set, admin's twice; the account "locked" was locked, and usermod twice gave it a
// hash with two marks; "pending" waits for its store, and the unit is held by hand.
func TestTheThirdSchemaReadsAsItWas(t *testing.T) {
	const fields = shadowsync.FieldHash | shadowsync.FieldLocked
	db := written(t, 3)
	accounts := load(t, db, nil).Accounts
	for name, locked := range map[string]bool{"admin": false, "locked": true, "twice": true} {
		m, ok := accounts[name]
		if !ok || m.Baseline == nil || m.Baseline.OS.Locked != locked || m.Open != nil || len(m.Record) != 2 || len(m.Past) != 4 {
			t.Fatalf("%s is %+v", name, m)
		}
		now := m.Baseline.OS
		store := shadowsync.Credential{}.With(now, fields)
		in := shadowsync.Input{OS: &now, Store: &store, Fields: fields, Baseline: m.Baseline, Record: m.Record, Past: m.Past, Today: 20800}
		if d := shadowsync.Merge(in); d.Verdict != shadowsync.VerdictNothing {
			t.Errorf("%s reads as %s: %s", name, d.Verdict, d.Reason)
		}
		for _, older := range m.Record {
			before := older.Store
			in.Store = &before
			for _, record := range []shadowsync.Record{m.Record, nil} { // also by the past alone
				in.Record = record
				if d := shadowsync.Merge(in); d.Verdict != shadowsync.VerdictAdoptAgain || d.Store.Password() != now.Password() {
					t.Errorf("%s: the application's old value reads as %s", name, d.Verdict)
				}
			}
		}
	}
	if m := accounts["pending"]; m.Open == nil || m.Open.State != shadowsync.Pending || m.Open.OS.Hash == m.Baseline.OS.Hash || !m.Guards() {
		t.Errorf("the pending change is %+v", m.Open)
	}
	if held, err := db.Held(t.Context(), application); !held || err != nil {
		t.Errorf("held by hand: %v (%v)", held, err)
	}
	if n, err := db.Verify(t.Context()); n != 25 || err != nil {
		t.Errorf("%d records of the audit, %v", n, err)
	}
}
