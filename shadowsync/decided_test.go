package shadowsync

import (
	"fmt"
	"testing"
)

// TestALockDecidesNoConflict: locking an account does not say which password is right, neither now
// nor at a later look; setting the password does.
func TestALockDecidesNoConflict(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred(hashNew)
	w.store["admin"] = held(cred(hashApp), w.fields)
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
	tool := Origin{At: epoch, SeenBy: SeenByTool, UID: new(int), Verb: "lock"}
	set := func(c Credential, fields Fields) {
		t.Helper()
		change := Change{Account: "admin", OS: c, Fields: fields, Origin: tool}
		if set, err := w.reconciler().Set(t.Context(), []Change{change}, Request{}); err != nil || len(set.Unwritten) > 0 {
			t.Fatal(set.Unwritten, err)
		}
	}
	set(cred(hashNew, locked), FieldLocked)
	for range 2 {
		if os, store := w.os["admin"], w.store["admin"]; os.Hash != hashNew || store.Hash != hashApp || !os.Locked || !store.Locked {
			t.Fatalf("the OS holds %+v, the store %+v", os, store)
		}
		if open := w.memory["admin"].Open; open == nil || open.State != Conflict {
			t.Fatalf("no conflict is open: %+v", open)
		}
		w.reconcile(t, Request{Force: true})
	}
	set(cred(hashNew), FieldsPassword)
	w.both(t, "admin", hashNew)
}

// TestALockKeepsWhoStoodForThePassword: a change that PAM announced still wins over what the
// application wrote meanwhile, even after the account was locked.
func TestALockKeepsWhoStoodForThePassword(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	lock := Change{Account: "admin", OS: cred(hashNew, locked), Fields: FieldLocked, Origin: Origin{At: epoch, SeenBy: SeenByTool}}
	if set, err := w.reconciler().Set(t.Context(), []Change{lock}, Request{}); err != nil || len(set.Unwritten) > 0 {
		t.Fatal(set.Unwritten, err)
	}
	w.storeErr = nil
	w.store["admin"] = held(cred(hashApp), w.fields)
	w.reconcile(t, Request{Force: true})
	w.both(t, "admin", hashNew)
}

// TestAHeldRollbackStaysHeld: an administrator must decide, however many looks come before. What
// the application writes meanwhile is no decision for the older value.
func TestAHeldRollbackStaysHeld(t *testing.T) {
	rolledBack := func() (*world, *Reconciler) {
		w := newWorld().start(t)
		w.passwd(t, "admin", hashNew)
		w.reconcile(t, Request{})
		w.os["admin"] = cred(hashBase)
		r := w.reconciler()
		r.Application.Policy.Rollback = RuleHold
		return w, r
	}
	look := func(r *Reconciler, e Evidence) {
		t.Helper()
		if _, err := r.Reconcile(t.Context(), Request{Force: true, Evidence: e}); err != nil {
			t.Fatal(err)
		}
	}
	w, r := rolledBack()
	look(r, Evidence{AtBoot: true, WentBack: true})
	for range 2 {
		look(r, Evidence{})
		if open := w.memory["admin"].Open; !open.heldBack() || w.os["admin"].Hash != hashBase || w.store["admin"].Hash != hashNew {
			t.Fatalf("the OS holds %q, the store %q, open is %+v", w.os["admin"].Hash, w.store["admin"].Hash, open)
		}
	}
	look(r, Evidence{Prefer: OSSide})
	w.both(t, "admin", hashBase)

	w, r = rolledBack()
	look(r, Evidence{AtBoot: true, WentBack: true})
	w.os["admin"] = cred(hashNew) // the application starts and writes its store's value
	look(r, Evidence{Writer: WriterApplication})
	w.both(t, "admin", hashNew)
	if open := w.memory["admin"].Open; open != nil {
		t.Errorf("still open: %+v", open)
	}
}

// TestALongMemory: what the application read at its start is still its old memory after two
// thousand changes.
func TestALongMemory(t *testing.T) {
	w, changes := newWorld().start(t), 2000
	if testing.Short() {
		changes = 200
	}
	for i := range changes {
		w.passwd(t, "admin", fmt.Sprintf("$y$%d", i))
		w.reconcile(t, Request{})
	}
	w.store["admin"] = held(cred(hashBase), w.fields)
	w.reconcile(t, Request{})
	w.both(t, "admin", fmt.Sprintf("$y$%d", changes-1))
}
