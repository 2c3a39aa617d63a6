package shadowsync

import (
	"slices"
	"testing"
)

// TestASuccessorInheritsNothing: an account that was deleted and created again under the same name,
// with the same or another uid.
func TestASuccessorInheritsNothing(t *testing.T) {
	for name, uid := range map[string]int{"the same uid": 0, "another uid": 7} {
		t.Run(name, func(t *testing.T) {
			w := newWorld().start(t)
			w.passwd(t, "admin", hashNew)
			w.reconcile(t, Request{})
			if !w.holds("admin", hashBase) {
				t.Fatal("nothing is on record")
			}
			if uid == 0 { // only a look in between shows that the account was gone
				delete(w.os, "admin")
				w.reconcile(t, Request{})
			}
			w.uids = map[string]int{"admin": uid}
			w.os["admin"] = field("!")
			w.reconcile(t, Request{Force: true})
			m := w.memory["admin"]
			if len(m.Record) > 0 || m.Baseline != nil || !slices.Contains(w.actions(), "succeeded") || w.store["admin"].Hash != hashNew {
				t.Fatalf("the successor has %+v, the trail %v", m, w.actions())
			}
			w.passwd(t, "admin", "$y$theirs")
			w.reconcile(t, Request{})
			w.both(t, "admin", "$y$theirs")
			for _, old := range []string{hashNew, hashBase} {
				w.store["admin"] = held(cred(old), w.fields) // what the application remembers of the previous person
				w.reconcile(t, Request{})
				w.both(t, "admin", "$y$theirs")
				if w.holds("admin", hashNew) || w.holds("admin", hashBase) {
					t.Errorf("the former person's password can be put back: %+v", w.memory["admin"].Record)
				}
			}
		})
	}
}

// TestRecordOfAPerson: the rule against reuse looks only at what the present person used.
func TestRecordOfAPerson(t *testing.T) {
	record := Record{{Baseline: Baseline{OS: cred(hashBase)}}}
	baseline := &Baseline{OS: cred(hashNew)}
	for name, c := range map[string]struct {
		person  string
		account Account
		exists  bool
		counts  bool
	}{
		"the same":                     {"1000", Account{UID: 1000}, true, true},
		"unknown, of an older state":   {"", Account{UID: 1000}, true, true},
		"gone":                         {"gone 1000", Account{}, false, false},
		"created again":                {"gone 1000", Account{UID: 1000, Credential: cred("$y$theirs")}, true, false},
		"another uid":                  {"1000", Account{UID: 1001, Credential: cred("$y$theirs")}, true, false},
		"restored with its own hash":   {"gone 1000", Account{UID: 1000, Credential: cred(hashNew)}, true, true},
		"moved to another uid by root": {"1000", Account{UID: 1001, Credential: cred(hashNew)}, true, true},
	} {
		m := AccountMemory{Person: c.person, Baseline: baseline, Record: record}
		if got := len(m.RecordFor(c.account, c.exists)) > 0; got != c.counts {
			t.Errorf("%s: counts %v", name, got)
		}
	}
}

// TestWhoComesBackIsWhoTheyWere: a line of the shadow file was lost and restored.
func TestWhoComesBackIsWhoTheyWere(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.writeErr = ErrUnavailable
	w.reconcile(t, Request{})
	line := w.os["admin"]
	delete(w.os, "admin")
	w.reconcile(t, Request{})
	if o := w.memory["admin"].Open; o == nil || o.State != Missing || o.OS.Hash != hashNew || !o.Origin.SeenBy.Announced() {
		t.Fatalf("open is %+v", o)
	}
	w.os["admin"], w.writeErr = line, nil
	w.reconcile(t, Request{Force: true})
	w.both(t, "admin", hashNew)
	if m := w.memory["admin"]; len(m.Record) == 0 || slices.Contains(w.actions(), "succeeded") {
		t.Errorf("%+v, the trail %v", m, w.actions())
	}
}
