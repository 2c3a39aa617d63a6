package shadowsync

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
)

// fresh is a world in which admin's sides differ and nothing is recorded.
func fresh(os string) *world {
	w := newWorld()
	w.os["admin"] = field(os)
	return w
}

// holds reports whether an account's history has this hash on either side.
func (w *world) holds(account, hash string) bool {
	return slices.ContainsFunc(w.memory[account].Record, func(e Entry) bool { return e.OS.Hash == hash || e.Store.Hash == hash })
}

// TestAnAnnouncedChangeWithoutABaseline: passwd on an account just created by useradd survives a start
// of the application, and what it replaced can be put back.
func TestAnAnnouncedChangeWithoutABaseline(t *testing.T) {
	for _, os := range []string{"!", "!!", "*", "", "$y$other"} {
		t.Run(os, func(t *testing.T) {
			w := fresh(os)
			report, _ := w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByStart}})
			if o, _ := report.For("admin"); o.State != Conflict || o.Reason != reasonNoBaseline {
				t.Fatalf("the first look gives %+v", o)
			}
			w.passwd(t, "admin", hashNew)
			w.reconcile(t, Request{})
			w.both(t, "admin", hashNew)
			m := w.memory["admin"]
			if m.Open != nil || m.LastChange == nil || m.LastChange.SeenBy != SeenByPAM || !w.holds("admin", hashBase) || len(w.guarded) > 0 {
				t.Errorf("on record is %+v, guarded for %v", m, w.guarded)
			}
			w.store["admin"] = held(cred(hashBase), w.fields) // the application's old memory
			w.reconcile(t, Request{Evidence: Evidence{Settling: true}})
			w.both(t, "admin", hashNew)
			for i := range 2 * RecordEntries { // more than the history holds
				w.passwd(t, "admin", fmt.Sprint("$y$later", i))
				w.reconcile(t, Request{})
			}
			w.store["admin"] = held(cred(hashBase), w.fields)
			w.reconcile(t, Request{})
			w.both(t, "admin", fmt.Sprint("$y$later", 2*RecordEntries-1))
		})
	}
}

// TestAPendingChangeWithoutABaseline: while the store cannot take the change, it is guarded, and a
// start of the application does not undo it.
func TestAPendingChangeWithoutABaseline(t *testing.T) {
	for name, restart := range map[string]Evidence{"named": {Writer: WriterApplication}, "unnamed": {Settling: true}} {
		for _, readable := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", store readable ", readable), func(t *testing.T) {
				w := fresh("!")
				down := func() {
					w.writeErr = fmt.Errorf("%w: %w", ErrUnavailable, syscall.EROFS)
					if !readable {
						w.storeErr = ErrUnavailable
					}
				}
				down()
				w.passwd(t, "admin", hashNew)
				report, _ := w.reconcile(t, Request{})
				if o, _ := report.For("admin"); o.State != Pending || !slices.Equal(w.guarded, []string{"admin"}) {
					t.Fatalf("admin is %+v, guarded for %v", o, w.guarded)
				}
				w.os["admin"] = cred(hashBase) // what the application read from its store
				w.reconcile(t, Request{Evidence: restart, Force: true})
				if w.os["admin"].Hash != hashNew {
					t.Fatalf("the application's start won: %q", w.os["admin"].Hash)
				}
				w.storeErr, w.writeErr = nil, nil
				w.reconcile(t, Request{Force: true})
				w.both(t, "admin", hashNew)
				if !w.holds("admin", hashBase) || len(w.guarded) > 0 {
					t.Errorf("on record is %+v, guarded for %v", w.memory["admin"].Record, w.guarded)
				}
			})
		}
	}
}

// TestUndecidedIsGuarded: if nothing says which side is right, the unit is held, and a start of the
// application decides nothing.
func TestUndecidedIsGuarded(t *testing.T) {
	for _, side := range []Side{OSSide, StoreSide} {
		w := fresh(hashNew)
		w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch}})
		if !slices.Equal(w.guarded, []string{"admin"}) {
			t.Fatalf("guarded for %v", w.guarded)
		}
		w.os["admin"] = cred(hashBase)
		w.reconcile(t, Request{Evidence: Evidence{Settling: true}, Force: true})
		if o := w.memory["admin"].Open; w.os["admin"].Hash != hashNew || o == nil || o.State != Conflict {
			t.Fatalf("the application decided: %q, open %+v", w.os["admin"].Hash, o)
		}
		w.reconcile(t, Request{Evidence: Evidence{Prefer: side}, Force: true})
		want, lost := hashNew, hashBase
		if side == StoreSide {
			want, lost = lost, want
		}
		w.both(t, "admin", want)
		if !w.holds("admin", lost) || len(w.guarded) > 0 {
			t.Errorf("%s: on record is %+v, guarded for %v", side, w.memory["admin"].Record, w.guarded)
		}
	}
}

// TestTheFirstLoserIsOnRecord: also with setup --first, in either direction.
func TestTheFirstLoserIsOnRecord(t *testing.T) {
	for side, lost := range map[Side]string{OSSide: hashBase, StoreSide: hashNew} {
		w := fresh(hashNew)
		w.reconcile(t, Request{First: side, Create: true, Origin: Origin{SeenBy: SeenByStart}})
		if m := w.memory["admin"]; len(m.Record) != 1 || !m.Record[0].Lost || !w.holds("admin", lost) {
			t.Errorf("--first %s: on record is %+v", side, m.Record)
		}
	}
}

// TestReplacedBeforeThereIsABaseline: if the store could not take two changes, the first can be put
// back.
func TestReplacedBeforeThereIsABaseline(t *testing.T) {
	w := fresh("!")
	w.storeErr = ErrUnavailable
	w.passwd(t, "admin", "$y$p1")
	w.reconcile(t, Request{})
	w.passwd(t, "admin", "$y$p2")
	w.reconcile(t, Request{})
	w.storeErr = nil
	w.reconcile(t, Request{})
	w.both(t, "admin", "$y$p2")
	if !w.holds("admin", "$y$p1") || !w.holds("admin", hashBase) {
		t.Errorf("on record is %+v", w.memory["admin"].Record)
	}
}

// TestTheRuleOfAFirstConflict: the account's rule says which side wins against a proven change,
// with and without a baseline.
func TestTheRuleOfAFirstConflict(t *testing.T) {
	for rule, want := range map[Rule]string{RuleDefault: hashNew, RuleOS: hashNew, RuleStore: hashBase, RuleHold: ""} {
		w := fresh("!")
		w.passwd(t, "admin", hashNew)
		r := w.reconciler()
		r.Application.Policy.Conflict = rule
		if _, err := r.Reconcile(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		if want != "" {
			w.both(t, "admin", want)
		} else if !slices.Equal(w.guarded, []string{"admin"}) {
			t.Errorf("%s: guarded for %v", rule, w.guarded)
		}
	}
}

// TestNothingInTheStore: a store record without a password gets the OS's password by a proven
// change or on request, but not unasked; also after the application wrote its empty memory back.
func TestNothingInTheStore(t *testing.T) {
	empty := func() *world {
		w := newWorld()
		w.store["admin"] = held(cred(""), w.fields)
		return w
	}
	w := empty()
	report, _ := w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByStart}})
	if o, _ := report.For("admin"); o.State != Conflict || w.store["admin"].Hash != "" || !slices.Equal(w.guarded, []string{"admin"}) {
		t.Fatalf("unasked: %+v, the store holds %q, guarded for %v", o, w.store["admin"].Hash, w.guarded)
	}
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)

	w = empty()
	w.reconcile(t, Request{First: OSSide})
	w.both(t, "admin", hashBase)
	w.store["admin"] = held(cred(""), w.fields)
	w.reconcile(t, Request{})
	w.both(t, "admin", hashBase)

	w = empty()
	report, _ = w.reconcile(t, Request{First: StoreSide})
	if o, _ := report.For("admin"); o.State != Conflict || w.os["admin"].Hash != hashBase {
		t.Errorf("--first store: %+v, the OS holds %q", o, w.os["admin"].Hash)
	}
}

// TestAKnownPair: a pair that was in sync before the baseline was dropped is in sync again, whichever stores
// the configuration named meanwhile. One that an image brought back from before a newer password is not.
func TestAKnownPair(t *testing.T) {
	pair := func(os, store string) Entry {
		return Entry{Baseline: Baseline{OS: cred(os), Store: Credential{Hash: store}}}
	}
	lost := pair(hashNew, "lost")
	lost.Lost = true
	for name, c := range map[string]struct {
		record Record
		want   Verdict
	}{
		"the last one":            {Record{pair(hashBase, "own"), pair(hashNew, "newer")}, VerdictBaseline},
		"the last one here":       {Record{pair(hashBase, "elsewhere"), pair(hashBase, "own")}, VerdictBaseline},
		"beside one that lost":    {Record{lost, pair(hashBase, "own")}, VerdictBaseline},
		"before a newer password": {Record{pair(hashNew, "newer"), pair(hashBase, "own")}, VerdictUnproven},
		"none":                    {Record{pair(hashBase, "elsewhere")}, VerdictUnproven},
	} {
		in := Input{OS: ptr(cred(hashBase)), Store: &Credential{Hash: "own"}, Fields: FieldHash, Opaque: true, Record: c.record}
		if d := Merge(in); d.Verdict != c.want {
			t.Errorf("%s: %s, want %s", name, d.Verdict, c.want)
		}
	}
}
