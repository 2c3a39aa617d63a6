package shadowsync

import "testing"

var storeMoved = Request{Origin: Origin{SeenBy: SeenByStore}, Force: true}

// TestDecidedAfterALoss: after a loss of the state the application writes an unknown value over its
// store, and an administrator chooses the OS. The value that both sides hold then did not come from
// the store, and the application still remembers what it wrote, and maybe more.
func TestDecidedAfterALoss(t *testing.T) {
	w := newWorld().start(t)
	w.pastUnknown = true
	w.store["admin"] = held(cred(hashApp), w.fields)
	report, _ := w.reconcile(t, storeMoved)
	if o, _ := report.For("admin"); o.State != Conflict || !report.Doubtful() {
		t.Fatalf("it is %+v", o)
	}
	report, _ = w.reconcile(t, Request{Evidence: Evidence{Prefer: OSSide}, Force: true})
	w.both(t, "admin", hashBase)
	if seen := w.memory["admin"].LastChange.SeenBy; seen == SeenByStore || report.Doubtful() {
		t.Errorf("the value seems to come from the store (%s)", seen)
	}
	if !w.memory["admin"].Past.holdsStore(held(cred(hashApp), w.fields), w.fields) {
		t.Error("what the application wrote is not known as its memory")
	}
	w.store["admin"] = held(cred(hashApp), w.fields)
	w.reconcile(t, storeMoved)
	w.both(t, "admin", hashBase)
	w.store["admin"] = held(cred(hashOld), w.fields)
	w.reconcile(t, storeMoved)
	if os := w.os["admin"].Hash; os != hashBase {
		t.Errorf("the OS holds %q", os)
	}
}

// TestDecidedAgainstTheStore: the store's value may not reach the OS, and an administrator chooses
// the OS. An older value that the application writes afterwards is still its old memory.
func TestDecidedAgainstTheStore(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{})
	w.store["admin"] = held(cred(""), w.fields)
	w.reconcile(t, storeMoved)
	w.reconcile(t, Request{Evidence: Evidence{Prefer: OSSide}, Force: true})
	w.both(t, "admin", hashNew)
	w.store["admin"] = held(cred(hashBase), w.fields)
	w.reconcile(t, storeMoved)
	w.both(t, "admin", hashNew)
	if seen := w.memory["admin"].LastChange.SeenBy; seen != SeenByPAM {
		t.Errorf("the value seems to be of %q", seen)
	}
}
