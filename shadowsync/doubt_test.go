package shadowsync

import (
	"fmt"
	"strings"
	"testing"
)

// newOwnWorld is a world whose store has a scheme of its own; admin's pair is proven.
func newOwnWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	w.scheme, w.fields = "own", FieldHash
	w.store = map[string]Credential{"admin": {Hash: ownBase}, "user222": {Hash: "own-user"}}
	w.start(t)
	w.fits(t, "admin")
	w.fits(t, "user222")
	w.events = nil
	return w
}

// fits is a login whose clear text fits the store's present value.
func (w *world) fits(t *testing.T, account string) {
	t.Helper()
	taken, err := w.reconciler().Prove(t.Context(), account, w.os[account].Hash, w.store[account].Hash, Origin{At: epoch, SeenBy: SeenByPAM})
	if err != nil || !taken {
		t.Fatalf("the login of %s: %v, %v", account, taken, err)
	}
	w.reconcile(t, Request{})
}

// differs is a login whose clear text is the OS's password, but not the application's.
func (w *world) differs(t *testing.T, account string) (anew bool) {
	t.Helper()
	anew, err := w.reconciler().Differs(t.Context(), account, w.os[account].Hash, Origin{At: epoch, SeenBy: SeenByPAM})
	if err != nil {
		t.Fatal(err)
	}
	w.reconcile(t, Request{})
	return anew
}

// clearPasswd is passwd(1): the store's value was made from the clear text.
func (w *world) clearPasswd(t *testing.T, account, osHash, storeHash string) {
	t.Helper()
	w.os[account] = w.os[account].With(cred(osHash), FieldsPassword)
	change := Change{Account: account, OS: w.os[account], StoreHash: storeHash, Origin: Origin{At: epoch, SeenBy: SeenByPAM, UID: new(int)}}
	if _, err := w.reconciler().Announce(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

func (w *world) stateOf(account string) ChangeState {
	if o := w.memory[account].Open; o != nil {
		return o.State
	}
	return InSync
}

// TestRehashedAtALogin: the application writes another value of the same password at each login. Nothing
// waits for a person, one record is made of it, and the application counts as in sync.
func TestRehashedAtALogin(t *testing.T) {
	w := newOwnWorld(t)
	for i := range 5 {
		w.store["admin"] = Credential{Hash: fmt.Sprint("!own-again", i)}
		w.reconcile(t, Request{})
		if got := w.stateOf("admin"); got != Unproven {
			t.Fatalf("after login %d it is %s", i, got)
		}
	}
	if len(w.guarded) > 0 || len(w.logouts) > 0 || w.os["admin"] != cred(hashBase) || w.memory["admin"].AtStake() {
		t.Errorf("guard %v, logouts %v, the OS holds %+v", w.guarded, w.logouts, w.os["admin"])
	}
	if got := w.actions(); len(got) != 1 || got[0] != "unproven" {
		t.Errorf("the audit says %q", got)
	}
	w.reconcile(t, Request{})
	if report, _ := w.reconcile(t, Request{}); !report.Unchanged {
		t.Error("what is only not proven is looked at again without any news")
	}
	w.clearPasswd(t, "admin", hashNew, ownNew)
	w.reconcile(t, Request{})
	if got := w.stateOf("admin"); got != InSync || w.store["admin"].Hash != ownNew || w.os["admin"].Hash != hashNew {
		t.Errorf("after passwd it is %s, the store holds %q", got, w.store["admin"].Hash)
	}
}

// TestClearTextFits: a login proves the new value, which is the baseline from then on. Its former
// value, if it comes back, is written over.
func TestClearTextFits(t *testing.T) {
	w := newOwnWorld(t)
	w.store["admin"] = Credential{Hash: ownApp}
	w.reconcile(t, Request{})
	w.fits(t, "admin")
	if got := strings.Join(w.actions(), " "); got != "unproven proven agreed" || w.stateOf("admin") != InSync {
		t.Errorf("%s, the audit says %q", w.stateOf("admin"), got)
	}
	if base := w.memory["admin"].Baseline; base.Store.Hash != ownApp || base.OS.Hash != hashBase {
		t.Errorf("the baseline is %+v", base)
	}
	w.store["admin"] = Credential{Hash: ownBase}
	w.reconcile(t, Request{})
	if w.store["admin"].Hash != ownApp {
		t.Errorf("the store holds %q", w.store["admin"].Hash)
	}
}

// TestClearTextDiffers: the application has another password. That is told once, outlives other
// changes of the account, and ends with a new password or when a login fits.
func TestClearTextDiffers(t *testing.T) {
	for name, end := range map[string]func(*world){
		"a new password": func(w *world) { w.clearPasswd(t, "admin", hashNew, ownNew) },
		"the old value":  func(w *world) { w.store["admin"] = Credential{Hash: ownBase} },
		"a login fits": func(w *world) {
			w.store["admin"] = Credential{Hash: ownNew}
			w.reconcile(t, Request{})
			w.fits(t, "admin")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOwnWorld(t)
			if w.differs(t, "admin") {
				t.Error("a login disproved what is in sync")
			}
			w.store["admin"] = Credential{Hash: ownApp}
			w.reconcile(t, Request{})
			if !w.differs(t, "admin") || w.differs(t, "admin") || w.stateOf("admin") != Changed || len(w.guarded) > 0 {
				t.Fatalf("it is %s, guard %v, audit %q", w.stateOf("admin"), w.guarded, w.actions())
			}
			lock := Change{Account: "admin", OS: Credential{Locked: true}, Fields: FieldLocked, Origin: Origin{At: epoch, SeenBy: SeenByTool}}
			if _, err := w.reconciler().Set(t.Context(), []Change{lock}, Request{}); err != nil {
				t.Fatal(err)
			}
			if !w.os["admin"].Locked || w.stateOf("admin") != Changed || w.store["admin"].Hash != ownApp {
				t.Errorf("locked %v, %s", w.os["admin"].Locked, w.stateOf("admin"))
			}
			end(w)
			w.reconcile(t, Request{})
			if w.stateOf("admin") != InSync {
				t.Errorf("at the end it is %s: %+v", w.stateOf("admin"), w.memory["admin"].Open)
			}
		})
	}
}

// TestFirstOpaquePair stays unproven until a clear text fits, and through a lock too.
func TestFirstOpaquePair(t *testing.T) {
	w := newWorld()
	w.scheme, w.fields = "own", FieldHash
	w.store = map[string]Credential{"admin": {Hash: ownApp}, "user222": {Hash: "own-user"}}
	w.start(t)
	lock := Change{Account: "admin", OS: Credential{Locked: true}, Fields: FieldLocked, Origin: Origin{At: epoch, SeenBy: SeenByTool}}
	if _, err := w.reconciler().Set(t.Context(), []Change{lock}, Request{}); err != nil {
		t.Fatal(err)
	}
	if got := w.stateOf("admin"); got != Unproven || w.store["admin"].Hash != ownApp || w.memory["admin"].Baseline == nil {
		t.Errorf("it is %s, the store holds %q", got, w.store["admin"].Hash)
	}
	if !w.differs(t, "user222") || w.stateOf("user222") != Changed {
		t.Errorf("disproven it is %s", w.stateOf("user222"))
	}
	w.reconcile(t, Request{Force: true})
	if w.stateOf("user222") != Changed {
		t.Errorf("later it is %s", w.stateOf("user222"))
	}
	w.fits(t, "admin")
	if got := w.stateOf("admin"); got != InSync {
		t.Errorf("proven it is %s", got)
	}
}

// TestOpaqueThroughCrashes: killed at any step, the new password reaches the store, and the value of
// the application that it replaced never reaches the OS or the audit.
func TestOpaqueThroughCrashes(t *testing.T) {
	for _, step := range Steps {
		t.Run(string(step), func(t *testing.T) {
			w := newOwnWorld(t)
			w.store["admin"] = Credential{Hash: ownApp}
			w.reconcile(t, Request{})
			w.clearPasswd(t, "admin", hashNew, ownNew)
			w.die = step
			w.reconcile(t, Request{})
			w.die = ""
			w.reconcile(t, Request{})
			if w.os["admin"].Hash != hashNew || w.store["admin"].Hash != ownNew || w.stateOf("admin") != InSync {
				t.Errorf("the OS holds %q, the store %q, %s", w.os["admin"].Hash, w.store["admin"].Hash, w.stateOf("admin"))
			}
			for _, e := range w.events {
				if strings.Contains(e.Winner+e.Loser+e.Reason, "own-") {
					t.Errorf("the audit shows a value: %+v", e)
				}
			}
			for _, e := range w.memory["admin"].Record {
				if strings.Contains(e.OS.Hash, "own-") {
					t.Errorf("an opaque value is kept as one of the OS: %+v", e)
				}
			}
		})
	}
}

// TestHashAlone: when only the OS hash is known, the store waits for a login, and no crash or lost
// attempt puts that hash into it.
func TestHashAlone(t *testing.T) {
	w := newOwnWorld(t)
	for _, hash := range []string{hashNew, "$y$newer"} {
		w.os["admin"] = w.os["admin"].With(cred(hash), FieldsPassword)
		w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
		if got := w.stateOf("admin"); got != NeedsLogin || w.store["admin"].Hash != ownBase {
			t.Fatalf("it is %s, the store holds %q", got, w.store["admin"].Hash)
		}
	}
	w.clearPasswd(t, "admin", "$y$newest", "")
	w.reconcile(t, Request{})
	if len(w.store["admin"].Hash) == 0 || strings.HasPrefix(w.store["admin"].Hash, "$y$") {
		t.Errorf("the store holds %q", w.store["admin"].Hash)
	}
	for _, e := range w.memory["admin"].Record {
		if strings.HasPrefix(e.Store.Hash, "$y$") {
			t.Errorf("the history would put an OS hash into the store: %+v", e)
		}
	}
	if _, err := w.reconciler().Prove(t.Context(), "admin", "$y$newest", ownNew, Origin{At: epoch, SeenBy: SeenByPAM}); err != nil {
		t.Fatal(err)
	}
	w.reconcile(t, Request{})
	if w.stateOf("admin") != InSync || w.store["admin"].Hash != ownNew {
		t.Errorf("after the login it is %s, the store holds %q", w.stateOf("admin"), w.store["admin"].Hash)
	}
}

// TestUnprovenPairIsNoPair: the value that the application had at first belongs to another password. Once it
// was written over, the OS's old hash does not bring it back.
func TestUnprovenPairIsNoPair(t *testing.T) {
	for name, told := range map[string]bool{"never looked at": false, "disproven": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.scheme, w.fields = "own", FieldHash
			w.store = map[string]Credential{"admin": {Hash: ownApp}, "user222": {Hash: "own-user"}}
			w.start(t)
			if told && !w.differs(t, "admin") {
				t.Fatal("the login told nothing")
			}
			w.clearPasswd(t, "admin", hashNew, ownNew)
			w.reconcile(t, Request{})
			if w.stateOf("admin") != InSync || w.store["admin"].Hash != ownNew {
				t.Fatalf("after passwd it is %s, the store holds %q", w.stateOf("admin"), w.store["admin"].Hash)
			}
			w.store["admin"] = Credential{Hash: ownApp}
			w.reconcile(t, Request{})
			if w.store["admin"].Hash != ownNew {
				t.Errorf("the application's old memory stays: %q", w.store["admin"].Hash)
			}
			w.os["admin"] = w.os["admin"].With(cred(hashBase), FieldsPassword)
			w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
			if got := w.stateOf("admin"); got != NeedsLogin || w.store["admin"].Hash != ownNew {
				t.Errorf("with the old hash it is %s, the store holds %q", got, w.store["admin"].Hash)
			}
		})
	}
}
