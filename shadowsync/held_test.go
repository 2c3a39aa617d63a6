package shadowsync

import "testing"

// apart is a world with a conflict that waits for a decision.
func apart(t *testing.T) *world {
	t.Helper()
	w := newWorld().start(t)
	w.os["admin"] = cred(hashNew)
	w.store["admin"] = held(cred(hashApp), w.fields)
	w.reconcile(t, Request{})
	if open := w.memory["admin"].Open; open == nil || open.State != Conflict {
		t.Fatalf("no conflict: %+v", open)
	}
	return w
}

// An application that starts copies its side of a conflict to the OS, which decides nothing.
// Restoring the OS side must not put the store's value into the history.
func TestAStartDecidesNoConflict(t *testing.T) {
	w := apart(t)
	w.os["admin"] = cred(hashApp)
	for _, evidence := range []Evidence{{Settling: true}, {Settling: true}, {}} {
		report, _ := w.reconcile(t, Request{Evidence: evidence})
		if o, _ := report.For("admin"); o.State != Conflict || w.os["admin"].Hash != hashNew || w.store["admin"].Hash != hashApp {
			t.Fatalf("the OS holds %q, the store %q, and it is %+v", w.os["admin"].Hash, w.store["admin"].Hash, o)
		}
	}
}

// A value that was held and then replaced by a decision can still be put back.
func TestAValueGivenUpStaysOnRecord(t *testing.T) {
	w := apart(t)
	w.os["admin"] = cred(hashApp)
	w.reconcile(t, Request{Evidence: Evidence{Writer: WriterOther}})
	w.both(t, "admin", hashApp)
	for _, e := range w.memory["admin"].Record {
		if e.OS.Hash == hashNew && e.Lost {
			return
		}
	}
	t.Errorf("the value is not on record: %+v", w.memory["admin"].Record)
}
