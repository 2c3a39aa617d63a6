package shadowsync

import "testing"

// The application wrote its old memory over the OS during a reconcile, when the store already had
// the new value and the baseline had not moved yet.
func TestUndoneInTheMiddleOfAReconcile(t *testing.T) {
	for _, evidence := range []Evidence{{Writer: WriterApplication}, {Settling: true}} {
		w := newWorld().start(t)
		w.os["admin"] = cred(hashNew)
		w.die = StepPersisted
		if _, dead := w.reconcile(t, Request{}); !dead || w.store["admin"].Hash != hashNew {
			t.Fatalf("the store holds %q", w.store["admin"].Hash)
		}
		w.os["admin"] = cred(hashBase)
		w.reconcile(t, Request{Evidence: evidence})
		w.both(t, "admin", hashNew)
	}
}
