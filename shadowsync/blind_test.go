package shadowsync

import "testing"

// TestStoreWithoutARevision is read each time: nothing else shows that it changed.
func TestStoreWithoutARevision(t *testing.T) {
	for _, blind := range []bool{false, true} {
		w := newWorld().start(t)
		w.blind = blind
		w.reconcile(t, Request{Force: true})
		if report, _ := w.reconcile(t, Request{}); report.Unchanged == blind {
			t.Errorf("without a revision %v: unchanged %v", blind, report.Unchanged)
		}
		w.store["admin"] = held(cred(hashNew), w.fields)
		w.reconcile(t, Request{})
		w.both(t, "admin", hashNew)
	}
}
