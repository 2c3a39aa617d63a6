package shadowsync

import (
	"slices"
	"testing"
)

var sshLogin = Origin{At: epoch, SeenBy: SeenByPAM, By: "root", Program: "sshd"}

// awaiting is a world whose store takes only $6$, after usermod -p to a $y$ hash.
func awaiting(t *testing.T) *world {
	t.Helper()
	w := newWorld().start(t)
	w.formats = Formats{"$6$"}
	w.os["admin"] = cred("$y$new")
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
	if open := w.memory["admin"].Open; open == nil || open.State != NeedsLogin {
		t.Fatalf("no login is awaited: %+v", open)
	}
	return w
}

func (w *world) prove(t *testing.T, osHash, storeHash string) bool {
	t.Helper()
	taken, err := w.reconciler().Prove(t.Context(), "admin", osHash, storeHash, sshLogin)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func (w *world) paired(t *testing.T, osHash, storeHash string) {
	t.Helper()
	m := w.memory["admin"]
	if w.os["admin"].Hash != osHash || w.store["admin"].Hash != storeHash || m.Open != nil {
		t.Errorf("the OS holds %q, the store %q, open is %+v", w.os["admin"].Hash, w.store["admin"].Hash, m.Open)
	}
	if m.Baseline == nil || m.Baseline.OS.Hash != osHash || m.Baseline.Store.Hash != storeHash {
		t.Errorf("the baseline is %+v", m.Baseline)
	}
}

func TestALoginGivesTheStoresFormat(t *testing.T) {
	w := awaiting(t)
	w.events = nil
	if !w.prove(t, "$y$new", "$6$new") {
		t.Fatal("the proof was not taken")
	}
	w.reconcile(t, Request{})
	w.paired(t, "$y$new", "$6$new")
	if got := w.actions(); !slices.Equal(got, []string{"proven", "adopted"}) || w.events[0].Origin.Program != "sshd" || w.events[1].Origin.SeenBy != SeenByWatch {
		t.Errorf("the audit shows %v: %+v", got, w.events)
	}
	if len(w.logouts) > 0 || len(w.ended) > 0 {
		t.Errorf("the login was ended: %v, %v", w.logouts, w.ended)
	}
	w.reconcile(t, Request{Force: true})
	w.paired(t, "$y$new", "$6$new")
}

// A proven change ended sessions when it was first dealt with; the login after it is not a session
// of the old password.
func TestALoginAfterAPasswdIsNotEnded(t *testing.T) {
	w := newWorld().start(t)
	w.formats = Formats{"$6$"}
	w.passwd(t, "admin", "$y$new")
	w.reconcile(t, Request{})
	ended := len(w.ended)
	w.prove(t, "$y$new", "$6$new")
	w.reconcile(t, Request{})
	w.paired(t, "$y$new", "$6$new")
	if ended != 1 || len(w.ended) != 1 {
		t.Errorf("%d sessions ended at the change, %d in all", ended, len(w.ended))
	}
}

func TestAProofOfAnotherValueIsNotTaken(t *testing.T) {
	w := awaiting(t)
	if w.prove(t, "$y$other", "$6$other") {
		t.Error("a proof of another value was taken")
	}
	w.os["admin"] = cred("$6$set")
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
	if w.prove(t, "$6$set", "$6$again") {
		t.Error("a proof was taken that nobody awaits")
	}
	w.paired(t, "$6$set", "$6$set")
}

func TestAProofOutlivesACrash(t *testing.T) {
	w := awaiting(t)
	w.die = StepJournalled
	func() {
		defer func() { _ = recover().(killed) }()
		w.prove(t, "$y$new", "$6$new")
	}()
	w.reconcile(t, Request{})
	w.paired(t, "$y$new", "$6$new")
}

// Setup chose the OS side, whose format the store does not take. Later looks must not ask again,
// whatever gives the value.
func TestSetupsDecisionOutlivesTheWait(t *testing.T) {
	for name, given := range map[string]func(*testing.T, *world) (os, store string){
		"a login": func(t *testing.T, w *world) (string, string) {
			w.prove(t, "$y$os", "$6$os")
			return "$y$os", "$6$os"
		},
		"usermod -p": func(_ *testing.T, w *world) (string, string) {
			w.os["admin"] = cred("$6$set")
			return "$6$set", "$6$set"
		},
		"passwd": func(t *testing.T, w *world) (string, string) {
			w.os["admin"] = cred("$y$set")
			change := Change{Account: "admin", OS: w.os["admin"], StoreHash: "$6$set", Origin: Origin{At: epoch, SeenBy: SeenByPAM}}
			if _, err := w.reconciler().Announce(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			return "$y$set", "$6$set"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.formats = Formats{"$6$"}
			w.os["admin"] = cred("$y$os")
			w.reconcile(t, Request{First: OSSide, Force: true})
			w.reconcile(t, Request{Force: true})
			if open := w.memory["admin"].Open; open == nil || open.State != NeedsLogin {
				t.Fatalf("no login is awaited any longer: %+v", open)
			}
			os, store := given(t, w)
			w.reconcile(t, Request{Force: true})
			w.paired(t, os, store)
		})
	}
}

// An account that setup is to create in the store is created once there is a value for it.
func TestAnAccountIsMadeAfterTheWait(t *testing.T) {
	w := newWorld()
	w.formats = Formats{"$6$"}
	w.os["admin"] = cred("$y$os")
	delete(w.store, "admin")
	w.reconcile(t, Request{First: OSSide, Create: true, Force: true})
	w.reconcile(t, Request{Force: true})
	if !w.prove(t, "$y$os", "$6$os") {
		t.Fatalf("no login is awaited: %+v", w.memory["admin"].Open)
	}
	w.reconcile(t, Request{Force: true})
	w.paired(t, "$y$os", "$6$os")
}

// foreign is a world whose sides agree on a hash that the store's application cannot verify.
func foreign(t *testing.T) *world {
	t.Helper()
	w := newWorld().start(t)
	w.formats = Formats{"$6$"}
	w.reconcile(t, Request{Force: true})
	if open := w.memory["admin"].Open; open == nil || open.State != NeedsLogin || open.Origin.SeenBy != SeenByStore {
		t.Fatalf("no login is awaited: %+v", open)
	}
	return w
}

// If the application cannot verify the hash that both sides hold, a login gives the store a new
// one. The change keeps its origin.
func TestALoginRenewsWhatBothSidesHold(t *testing.T) {
	w := foreign(t)
	w.reconcile(t, Request{Force: true})
	if got := w.actions(); !slices.Equal(got, []string{"needs-login", "needs-login"}) {
		t.Errorf("the audit shows %v", got) // one for each account, not one for each look
	}
	before := w.memory["admin"].LastChange
	w.prove(t, hashBase, hashMade)
	w.reconcile(t, Request{})
	w.paired(t, hashBase, hashMade)
	if got := w.actions()[2:]; !slices.Equal(got, []string{"proven", "renewed"}) {
		t.Errorf("the audit shows %v", got)
	}
	if after := w.memory["admin"].LastChange; before != after {
		t.Errorf("the last change was %+v, is %+v", before, after)
	}
	if len(w.logouts) > 0 || len(w.ended) > 0 {
		t.Errorf("the login was ended: %v, %v", w.logouts, w.ended)
	}
	w.store["admin"] = held(cred(hashBase), w.fields) // the application writes its memory
	w.reconcile(t, Request{})
	w.paired(t, hashBase, hashMade)
}

func TestARenewalOutlivesACrash(t *testing.T) {
	for _, step := range []Step{StepJournalled, StepPersisted, StepVerified, StepCommitted, StepGuarded} {
		t.Run(string(step), func(t *testing.T) {
			w := foreign(t)
			w.prove(t, hashBase, hashMade)
			w.die = step
			if _, dead := w.reconcile(t, Request{}); !dead {
				t.Fatal("the step was never reached")
			}
			w.reconcile(t, Request{})
			w.paired(t, hashBase, hashMade)
		})
	}
}

// A renewal waits for a store that is down, but holds back no restart: the store still has the same
// password.
func TestARenewalNeverGuards(t *testing.T) {
	w := foreign(t)
	w.prove(t, hashBase, hashMade)
	w.writeErr = ErrUnavailable
	w.reconcile(t, Request{})
	if len(w.guarded) > 0 {
		t.Errorf("guarded for %v", w.guarded)
	}
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	if len(w.guarded) > 0 {
		t.Errorf("guarded for %v while the store cannot be read", w.guarded)
	}
	w.storeErr, w.writeErr = nil, nil
	w.reconcile(t, Request{})
	w.paired(t, hashBase, hashMade)
}

// A password set meanwhile wins.
func TestAChangeOvertakesARenewal(t *testing.T) {
	w := foreign(t)
	w.passwd(t, "admin", "$6$set")
	if w.prove(t, hashBase, hashMade) {
		t.Error("a proof of the password before was taken")
	}
	w.reconcile(t, Request{})
	w.paired(t, "$6$set", "$6$set")
	w = foreign(t)
	w.prove(t, hashBase, hashMade)
	w.os["admin"] = cred("$6$set")
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
	w.paired(t, "$6$set", "$6$set")
}

// No login can give the store a hash. Another password must be chosen, and until then no restart is
// held back.
func TestALoginThatIsNoUse(t *testing.T) {
	w := awaiting(t)
	if taken, err := w.reconciler().Unfit(t.Context(), "admin", "$y$new", "longer than 72 bytes", sshLogin); !taken || err != nil {
		t.Fatalf("it was not taken: %v", err)
	}
	w.reconcile(t, Request{})
	w.refused(t, "longer than 72 bytes")
	w.passwd(t, "admin", "$6$set")
	w.reconcile(t, Request{})
	w.paired(t, "$6$set", "$6$set")
}

// If the store can hold no hash of a password, passwd refuses it, even if the account has no
// baseline yet.
func TestAPasswordThatTheStoreCannotHold(t *testing.T) {
	for name, w := range map[string]*world{"before a baseline": newWorld(), "with one": newWorld().start(t)} {
		t.Run(name, func(t *testing.T) {
			w.formats = Formats{"$2b$"}
			w.os["admin"] = cred("$y$os")
			w.reconcile(t, Request{First: OSSide, Force: true})
			w.os["admin"] = cred("$y$long")
			change := Change{Account: "admin", OS: w.os["admin"], Verdict: VerdictRefused, Reason: "longer than 72 bytes", Origin: Origin{At: epoch, SeenBy: SeenByPAM}}
			if _, err := w.reconciler().Announce(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			w.reconcile(t, Request{})
			w.refused(t, "longer than 72 bytes")
			w.reconcile(t, Request{Force: true})
			w.refused(t, "longer than 72 bytes")
			w.os["admin"] = cred("$2b$set")
			w.reconcile(t, Request{Force: true})
			w.paired(t, "$2b$set", "$2b$set")
		})
	}
}

// refused checks that there is a conflict caused by the store, which guards nothing.
func (w *world) refused(t *testing.T, reason string) {
	t.Helper()
	open := w.memory["admin"].Open
	if open == nil || open.State != Conflict || open.Verdict != VerdictRefused || open.Reason != reason {
		t.Errorf("on record is %+v", open)
	}
	if len(w.guarded) > 0 {
		t.Errorf("guarded for %v", w.guarded)
	}
}

// Another change meanwhile neither ends the wait nor loses what a login gave, and is not attributed
// to the store.
func TestAChangeBesideARenewal(t *testing.T) {
	for name, change := range map[string]func(*Credential){
		"what the store does not hold": func(c *Credential) { c.Max = 90 },
		"the lock mark":                func(c *Credential) { c.Locked = true },
	} {
		t.Run(name, func(t *testing.T) {
			changed := func(w *world) {
				c := w.os["admin"]
				change(&c)
				w.os["admin"], w.events = c, nil
				w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
				if store := w.store["admin"]; store.Locked != c.Locked {
					t.Errorf("the store holds %+v", store)
				}
				if len(w.events) != 1 || w.events[0].Origin.SeenBy != SeenByWatch {
					t.Errorf("the audit shows %+v", w.events)
				}
			}
			w := foreign(t)
			w.prove(t, hashBase, hashMade)
			changed(w)
			w.paired(t, hashBase, hashMade)

			w = foreign(t)
			changed(w)
			if !w.prove(t, hashBase, hashMade) {
				t.Fatalf("no login is awaited any longer: %+v", w.memory["admin"].Open)
			}
			w.reconcile(t, Request{})
			w.paired(t, hashBase, hashMade)

			w = foreign(t)
			w.prove(t, hashBase, hashMade)
			c := w.os["admin"]
			change(&c)
			w.os["admin"], w.storeErr = c, ErrUnavailable
			w.reconcile(t, Request{})
			w.storeErr = nil
			w.reconcile(t, Request{})
			w.paired(t, hashBase, hashMade)
		})
	}
}
