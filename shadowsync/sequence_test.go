package shadowsync

// Sequences of events that once lost a password, gave it to the wrong side or reported something
// untrue. Single decisions do not show these.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// --prefer os while only the store moved (a write-back of the old value)
func TestPreferOSWriteBack(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{})
	w.store["admin"] = held(cred(hashBase), w.fields) // the application writes its memory while it stops, and nothing looks
	w.reconcile(t, Request{Evidence: Evidence{Prefer: OSSide}, Force: true})
	w.both(t, "admin", hashNew)
}

func TestPreferOSNewStoreValue(t *testing.T) {
	w := newWorld().start(t)
	w.store["admin"] = held(cred(hashApp), w.fields)
	w.reconcile(t, Request{Evidence: Evidence{Prefer: OSSide}, Force: true})
	w.both(t, "admin", hashBase)
}

func TestPreferStoreOfOtherAccountWriteBack(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{})
	// user222 is in conflict, admin's store value was only written back
	w.os["user222"], w.store["user222"] = cred("$y$1"), held(cred("$y$2"), w.fields)
	w.store["admin"] = held(cred(hashBase), w.fields)
	w.reconcile(t, Request{Evidence: Evidence{Prefer: StoreSide}, Force: true})
	w.both(t, "admin", hashNew)
}

// two quick usermod -p: the OS moves while we persist the first
func TestTwoQuickUsermods(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred("$y$h1")
	w.beforeSave = func() { w.beforeSave = nil; w.os["admin"] = cred("$y$h2") }
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
	w.both(t, "admin", "$y$h2")
}

// killed after the store was written; then another usermod
func TestCrashThenUsermod(t *testing.T) {
	for _, step := range []Step{StepPersisted, StepVerified} {
		w := newWorld().start(t)
		w.os["admin"] = cred("$y$h1")
		w.die = step
		w.reconcile(t, Request{})
		w.die = ""
		w.os["admin"] = cred("$y$h2")
		w.reconcile(t, Request{Force: true})
		w.both(t, "admin", "$y$h2")
	}
}

// killed after the store was written; then root puts the former hash back
func TestCrashThenBack(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred("$y$h1")
	w.die = StepPersisted
	w.reconcile(t, Request{})
	w.die = ""
	w.os["admin"] = cred(hashBase)
	w.reconcile(t, Request{Force: true})
	w.both(t, "admin", hashBase)
}

// more than five changes while the application keeps its memory
func TestSixChangesThenDump(t *testing.T) {
	w := newWorld().start(t)
	for i := range 6 {
		w.passwd(t, "admin", fmt.Sprintf("$y$n%d", i))
		w.reconcile(t, Request{})
	}
	w.store["admin"] = held(cred(hashBase), w.fields)
	w.reconcile(t, Request{})
	w.both(t, "admin", "$y$n5")
}

// all-fields store: the application writes back only the password column
func TestPasswordColumnOnly(t *testing.T) {
	w := newWorld()
	w.fields = AllFields
	w.store["admin"], w.store["user222"] = w.os["admin"], w.os["user222"]
	w.start(t)
	w.os["admin"] = cred(hashNew, today)
	if _, err := w.reconciler().Announce(t.Context(), Change{Account: "admin", OS: w.os["admin"], Origin: Origin{At: epoch, SeenBy: SeenByPAM, UID: new(int)}}); err != nil {
		t.Fatal(err)
	}
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
	c := w.store["admin"]
	c.Hash = hashBase
	w.store["admin"] = c
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
}

// all-fields store: chage or passwd -e, then the application writes its memory
func TestDumpUndoesChageAndMustChange(t *testing.T) {
	for name, change := range map[string]func(*Credential){"chage -M 90": maxDays, "passwd -e": mustChange} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.fields = AllFields
			w.store["admin"], w.store["user222"] = w.os["admin"], w.os["user222"]
			w.start(t)
			memory := w.store["admin"]
			w.os["admin"] = cred(hashBase, change)
			w.reconcile(t, Request{})
			want := w.os["admin"]
			w.store["admin"] = memory
			w.reconcile(t, Request{})
			if w.os["admin"] != want {
				t.Errorf("OS %+v, want %+v", w.os["admin"], want)
			}
		})
	}
}

// PAM announces admin; user222's hash-only difference must not be attributed to PAM
func TestOtherAccountsGetPAMsOrigin(t *testing.T) {
	w := newWorld().start(t)
	w.os["user222"] = cred("$y$puppet")
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{Origin: w.memory["admin"].Open.Origin}) // what keeper.changed does
	if slices.Contains(w.ended, "user222") {
		t.Errorf("sessions of user222 ended by a hash-only change: %v; attributed to %+v", w.ended, w.memory["user222"].LastChange)
	}
}

// conflict on hold, then the application starts and rewrites the OS from its store
func TestHoldConflictThenAppStart(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred(hashNew)
	w.store["admin"] = held(cred(hashApp), w.fields)
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
	if w.memory["admin"].Open.State != Conflict {
		t.Fatal("no conflict")
	}
	w.os["admin"] = cred(hashApp)
	w.reconcile(t, Request{Evidence: Evidence{Writer: WriterApplication, Settling: true}})
	m := w.memory["admin"]
	if w.os["admin"].Hash != hashNew && !slices.ContainsFunc(m.Record, func(e Entry) bool { return e.OS.Hash == hashNew }) {
		t.Errorf("root's value is on neither side and not on record: %+v", m.Record)
	}
	if m.Open == nil {
		t.Error("the application settled the conflict by starting")
	}
}

func TestPendingReplacedIsOnRecord(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", "$y$p1")
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	w.passwd(t, "admin", "$y$p2")
	w.reconcile(t, Request{})
	w.storeErr = nil
	w.reconcile(t, Request{})
	w.both(t, "admin", "$y$p2")
	if !slices.ContainsFunc(w.memory["admin"].Record, func(e Entry) bool { return e.OS.Hash == "$y$p1" }) {
		t.Errorf("p1 is not on record")
	}
}

// pair of formats: the store keeps $6$, the OS $y$; the store is down; the application rewrites the
// OS from it
func TestPairPendingAppRewrites(t *testing.T) {
	fields := FieldHash | FieldLocked
	base := Baseline{OS: cred("$y$base"), Store: held(cred("$6$base"), fields)}
	open := &Change{Account: "admin", State: Pending, Verdict: VerdictPending, OS: cred("$y$new"), StoreHash: "$6$new", Origin: Origin{SeenBy: SeenByPAM, At: epoch, UID: new(int)}}
	for name, fault := range map[string]*StoreFault{"down": {Reason: "down"}, "up again": nil} {
		in := Input{
			OS: ptr(cred("$6$base", today)), Fields: fields, Formats: Formats{"$6$"}, Baseline: &base, Open: open, Fault: fault,
			Evidence: Evidence{Writer: WriterApplication, Settling: true}, Today: 20500,
		}
		if fault == nil {
			in.Store = ptr(base.Store)
		}
		d := Merge(in)
		if d.OS.Hash != "$y$new" {
			t.Errorf("%s: the application undid a pending change of root's: %s", name, showDecision(d))
		}
	}
}

func TestPairOldMemoryRewrites(t *testing.T) {
	fields := FieldHash | FieldLocked
	base := Baseline{OS: cred("$y$new"), Store: held(cred("$6$new"), fields)}
	rec := Record{{Baseline: Baseline{OS: cred("$y$base"), Store: held(cred("$6$base"), fields)}, Replaced: epoch}}
	in := Input{
		OS: ptr(cred("$6$base", today)), Store: ptr(base.Store), Fields: fields, Formats: Formats{"$6$"}, Baseline: &base, Record: rec,
		Evidence: Evidence{Writer: WriterApplication}, Today: 20500,
	}
	d := Merge(in)
	if d.OS.Hash != "$y$new" || d.Store.Hash != "$6$new" {
		t.Errorf("the application wrote its memory over the OS and won: %s", showDecision(d))
	}
	in.Store = ptr(held(cred("$6$base"), fields))
	if d = Merge(in); d.OS.Hash != "$y$new" {
		t.Errorf("over both sides: %s", showDecision(d))
	}
}

// within the settle time, with the writer unknown (the tool or a hook looks): root's passwd -l
func TestSettlingKeepsALock(t *testing.T) {
	for name, change := range map[string]func(*Credential){"passwd -l": locked, "passwd -e": mustChange} {
		w := newWorld().start(t)
		w.os["admin"] = cred(hashBase, change)
		want := w.os["admin"]
		w.reconcile(t, Request{Evidence: Evidence{Settling: true}})
		if w.os["admin"] != want {
			t.Errorf("%s within the settle time is undone: %v", name, w.actions())
		}
	}
}

// chage between the looks hides the application's rewrite
func TestChageHidesRewrite(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	w.os["admin"] = cred(hashBase, maxDays, today)
	w.reconcile(t, Request{Evidence: Evidence{Settling: true}})
	w.storeErr = nil
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
}

// --prefer store while the store is down
func TestPreferStoreWhileDown(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred(hashNew)
	w.store["admin"] = held(cred(hashApp), w.fields)
	w.reconcile(t, Request{})
	w.storeErr = ErrUnavailable
	report, _ := w.reconcile(t, Request{Evidence: Evidence{Prefer: StoreSide}, Force: true})
	o, _ := report.For("admin")
	if w.os["admin"].Hash == hashBase {
		t.Errorf("the OS got a value that neither side held: %s %s", o.Verdict, o.State)
	}
}

// End fails
type failingSessions struct{}

func (failingSessions) End(context.Context, Account, Logout) ([]Session, []Session, error) {
	return nil, nil, errors.New("no bus")
}

func TestLogoutForgottenWithoutBus(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	r := w.reconciler()
	r.Sessions = failingSessions{}
	if _, err := r.Reconcile(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	_, err := r.EndSessions(t.Context())
	if len(w.logouts) == 0 {
		t.Errorf("the logout is settled although nothing was ended (err %v, %v)", err, w.actions())
	}
}

// End leaves one session for later
type lateSessions struct{}

func (lateSessions) End(context.Context, Account, Logout) ([]Session, []Session, error) {
	return nil, nil, ErrNotYet
}

func TestLogoutDueUntilTheLastSession(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	r := w.reconciler()
	r.Sessions = lateSessions{}
	if _, err := r.Reconcile(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.EndSessions(t.Context()); err != nil || len(w.logouts) == 0 {
		t.Errorf("%d ends are due, %v", len(w.logouts), err)
	}
}

// the guard fails
type failingGuard struct{}

func (failingGuard) Set(context.Context, string, string, []string, ...string) error {
	return errors.New("no bus")
}

func TestGuardErrorHidesOutcome(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.storeErr = ErrUnavailable
	r := w.reconciler()
	r.Guard = failingGuard{}
	report, err := r.Reconcile(t.Context(), Request{})
	if o, ok := report.For("admin"); !ok || o.State != Pending {
		t.Errorf("outcome lost: %+v, %v (the state says %s)", report, err, w.memory["admin"].Open.State)
	}
}

// passwd while the application writes back: last change and sessions
func TestAdoptAgainHidesTheChange(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", "$y$n1")
	w.reconcile(t, Request{})
	w.ended, w.events = nil, nil
	// the application wrote back, root ran passwd, and the watch was faster than PAM
	w.store["admin"] = held(cred(hashBase), w.fields)
	w.os["admin"] = cred("$y$n2")
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch, At: epoch, Program: "second"}})
	w.passwd(t, "admin", "$y$n2")
	w.reconcile(t, Request{Force: true})
	if len(w.ended) == 0 {
		t.Error("a proven change ended no session")
	}
}

// Set with a credential that the caller read earlier
func TestSetLosesALock(t *testing.T) {
	w := newWorld().start(t)
	read := w.os["admin"]                           // the tool reads, then hashes for 100 ms
	w.os["admin"] = cred(hashBase, locked, maxDays) // passwd -l; chage
	read.Hash = hashNew
	set, err := w.reconciler().Set(t.Context(), []Change{{Account: "admin", OS: read, Fields: FieldsPassword, Origin: Origin{SeenBy: SeenByTool, At: epoch}}}, Request{})
	if err == nil && set.Unwritten["admin"] == nil && !w.os["admin"].Locked {
		t.Error("Set undid a lock made meanwhile")
	}
}

// Set fails for one account; the change must not stay recorded and be made later
type raceOS struct{ osSide }

func (o raceOS) Write(_ context.Context, writes []Write) (Unwritten, error) {
	return map[string]error{writes[0].Name: ErrChanged}, nil
}

func TestFailedSetHappensLater(t *testing.T) {
	w := newWorld().start(t)
	r := w.reconciler()
	r.Accounts = raceOS{osSide{w}}
	lease, _ := r.Lock.Acquire(t.Context())
	_ = lease
	failed, err := r.setOS(t.Context(), []Change{{Account: "admin", OS: cred(hashNew), Origin: Origin{SeenBy: SeenByTool, At: epoch}}})
	if failed["admin"] == nil || err != nil {
		t.Fatal(failed, err)
	}
	w.reconcile(t, Request{Force: true, Evidence: Evidence{Settling: true}})
	w.both(t, "admin", hashBase)
}

// Set fails as a whole while an earlier change is pending
type brokenOS struct{ osSide }

func (o brokenOS) Write(context.Context, []Write) (Unwritten, error) {
	return nil, errors.New("disk full")
}

func TestFailedSetForgetsPending(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", "$y$p1")
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	r := w.reconciler()
	r.Accounts = brokenOS{osSide{w}}
	_, err := r.Set(t.Context(), []Change{{Account: "admin", OS: cred(hashNew), Origin: Origin{SeenBy: SeenByTool, At: epoch}}}, Request{})
	t.Log(err)
	w.os["admin"] = cred(hashBase) // the application restarts and writes its memory
	w.reconcile(t, Request{Force: true, Evidence: Evidence{Writer: WriterApplication}})
	w.storeErr = nil
	w.reconcile(t, Request{Force: true})
	w.both(t, "admin", "$y$p1")
}

// pending; the application rewrote the OS before post-start opened the settle time; the writer is
// unknown
func TestPendingRewrittenBeforeSettle(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	w.os["admin"] = cred(hashBase, today)
	w.reconcile(t, Request{})                                                // by the watch; the writer is gone already
	w.reconcile(t, Request{Evidence: Evidence{Settling: true}, Force: true}) // post-start
	w.storeErr = nil
	w.reconcile(t, Request{Force: true})
	w.both(t, "admin", hashNew)
}

// the same, but exactly the baseline's entry (LastChange does not move)
func TestPendingRewrittenExactly(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	w.os["admin"] = cred(hashBase)
	w.reconcile(t, Request{})
	if w.memory["admin"].Open == nil {
		t.Error("a pending change is forgotten")
	}
}

// partial: the hash is applied, another unit is held; the old hash must be in the history
func TestPartialConflictLosesHash(t *testing.T) {
	w := newWorld()
	w.fields = AllFields
	w.store["admin"], w.store["user222"] = w.os["admin"], w.os["user222"]
	w.start(t)
	w.os["admin"] = cred(hashBase, maxDays)
	c := cred(hashApp)
	c.Max = 60
	w.store["admin"] = c
	w.reconcile(t, Request{})
	m := w.memory["admin"]
	if m.Baseline.OS.Hash == hashApp && !slices.ContainsFunc(m.Record, func(e Entry) bool { return e.OS.Hash == hashBase }) {
		t.Errorf("the old hash is nowhere")
	}
	// adoption with another unit in conflict, then write-back
	w = newWorld()
	w.fields = AllFields
	w.store["admin"], w.store["user222"] = w.os["admin"], w.os["user222"]
	w.start(t)
	w.os["admin"] = cred(hashNew, maxDays)
	c = cred(hashBase)
	c.Max = 60
	w.store["admin"] = c
	w.reconcile(t, Request{})
	w.store["admin"] = c // the application writes its memory
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
}

// pair store: a lost OS value is recorded as its own partner
func TestLostPairPartner(t *testing.T) {
	fields := FieldHash | FieldLocked
	base := Baseline{OS: cred("$y$base"), Store: held(cred("$6$base"), fields)}
	in := Input{
		OS: ptr(cred("$y$x")), Store: ptr(held(cred("$6$app"), fields)), Fields: fields, Formats: Formats{"$6$"}, Baseline: &base,
		Evidence: Evidence{Prefer: StoreSide}, Today: 20500,
	}
	d := Merge(in)
	it := item{in: in, decision: d}
	rec := Record(it.displaced(epoch))
	next := Input{OS: ptr(cred("$y$x")), Store: d.Store, Fields: fields, Formats: Formats{"$6$"}, Baseline: d.Baseline, Record: rec, Today: 20500}
	if d2 := Merge(next); d2.Store.Hash == "$y$x" {
		t.Errorf("a hash the application cannot verify goes into its store: %s", showDecision(d2))
	}
}

// a hostile store value in the history as an OS value
func TestHostileValueInHistory(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.store["admin"] = Credential{Hash: ""}
	w.reconcile(t, Request{})
	for _, e := range w.memory["admin"].Record {
		t.Logf("record: OS %q store %q lost %v", e.OS.Hash, e.Store.Hash, e.Lost)
		if e.OS.Hash == "" {
			t.Error("history restore of this entry makes the account passwordless")
		}
	}
}

// the store loses the record for a moment while a change is pending
func TestMissingForgetsPending(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	w.storeErr = nil
	keep := w.store["admin"]
	delete(w.store, "admin")
	w.os["admin"] = cred(hashBase, today)
	app := Request{Evidence: Evidence{Writer: WriterApplication, Settling: true}, Force: true}
	w.reconcile(t, app)
	w.store["admin"] = keep
	w.reconcile(t, app)
	w.both(t, "admin", hashNew)
}

func TestFirstWithoutBaselineGuards(t *testing.T) {
	w := newWorld()
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByStart}})
	if len(w.guarded) > 0 {
		t.Errorf("guarded for %v although nobody changed anything", w.guarded)
	}
}

// write-backs on the OS while the store is down: they must leave a trace
func TestSilentFight(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	w.events = nil
	for range 10 {
		w.os["admin"] = cred(hashBase)
		w.reconcile(t, Request{Evidence: Evidence{Writer: WriterApplication}})
	}
	if len(w.events) == 0 {
		t.Error("ten write-backs to the OS left no trace in the audit and no alarm")
	}
}

// the application locks a user in its store, and unlocks it again
func TestApplicationUnlocks(t *testing.T) {
	w := newWorld().start(t)
	w.store["admin"] = held(cred(hashBase, locked), w.fields)
	w.reconcile(t, Request{})
	if !w.os["admin"].Locked {
		t.Fatal("lock not applied")
	}
	w.store["admin"] = held(cred(hashBase), w.fields)
	w.reconcile(t, Request{})
	if w.os["admin"].Locked {
		t.Error("the application cannot unlock what it locked itself")
	}
}

// a pending change; PAM announces what the OS holds now (the request waited in the backlog, or the
// application ran chpasswd)
func TestAnnounceForgetsPending(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	w.os["admin"] = cred(hashBase) // the application rewrites the OS; then the broker takes a stale request from the backlog
	if _, err := w.reconciler().Announce(t.Context(), Change{Account: "admin", OS: w.os["admin"], Origin: Origin{At: epoch, SeenBy: SeenByPAM}}); err != nil {
		t.Fatal(err)
	}
	w.reconcile(t, Request{Evidence: Evidence{Writer: WriterApplication, Settling: true}})
	w.storeErr = nil
	w.reconcile(t, Request{Force: true})
	w.both(t, "admin", hashNew)
}

// the default origin of an empty Request (Set): a difference of another account
func TestSetAttributesOthersToNobody(t *testing.T) {
	w := newWorld().start(t)
	w.os["user222"] = cred("$y$byroot")
	w.storeErr = ErrUnavailable
	if _, err := w.reconciler().Set(t.Context(), []Change{{Account: "admin", OS: cred(hashNew), Origin: Origin{SeenBy: SeenByTool, At: epoch, UID: new(int)}}}, Request{}); err != nil {
		t.Fatal(err)
	}
	o := w.memory["user222"].Open
	if o.Origin.SeenBy == "" || w.memory["user222"].Guards() {
		t.Errorf("seen by %q, guards %v; guarded for %v: unknown is not root", o.Origin.SeenBy, w.memory["user222"].Guards(), w.guarded)
	}
	// the same with news from the store
	w = newWorld().start(t)
	w.os["user222"] = cred("$y$byroot")
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByStore}})
	o = w.memory["user222"].Open
	if o.Origin.SeenBy == SeenByStore || w.memory["user222"].Guards() {
		t.Errorf("a change of the OS side is seen by %q and guards %v", o.Origin.SeenBy, w.memory["user222"].Guards())
	}
}
