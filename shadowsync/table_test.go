package shadowsync

import "testing"

// TestMergeTable is the design's decision table, one row per case. It shows what to expect;
// TestMergeInvariants shows what must never happen.
func TestMergeTable(t *testing.T) {
	const fields = FieldHash | FieldLocked
	base := Baseline{OS: cred(hashBase), Store: held(cred(hashBase), fields)}
	old := Record{{Baseline: Baseline{OS: cred(hashOld), Store: held(cred(hashOld), fields)}}}
	dumped := append(Record{}, old[0], Entry{Baseline: Baseline{OS: cred(hashApp), Store: held(cred(hashApp), fields)}})
	heldBack := &Change{State: Conflict, Verdict: VerdictConflict, Reason: reasonRollback, OS: cred(hashOld), Origin: Origin{SeenBy: SeenByStart}}
	proven := &Change{State: Queued, Verdict: VerdictAdopt, OS: cred(hashNew), Origin: Origin{SeenBy: SeenByPAM, At: epoch}}
	pending := &Change{State: Pending, Verdict: VerdictPending, OS: cred(hashNew), Origin: Origin{SeenBy: SeenByPAM, At: epoch}}
	login := &Change{State: NeedsLogin, Verdict: VerdictNeedsLogin, OS: cred(hashBase), StoreHash: hashMade, Origin: Origin{SeenBy: SeenByStore}}
	foreign := func(open *Change) func(*Input) {
		return func(in *Input) { in.Formats, in.Open = Formats{"$6$"}, open }
	}

	for _, c := range []struct {
		name      string
		os, store Credential
		change    func(*Input)
		want      Verdict
		wantOS    string
		wantStore string
	}{
		{"same, same", cred(hashBase), cred(hashBase), nil, VerdictNothing, hashBase, hashBase},
		{"moved, same: adopt", cred(hashNew), cred(hashBase), nil, VerdictAdopt, hashNew, hashNew},
		{"same, moved: apply", cred(hashBase), cred(hashApp), nil, VerdictApply, hashApp, hashApp},
		{"same, moved to what may not reach the OS", cred(hashBase), cred(hashApp), func(in *Input) { in.Refusal = "uid 0" }, VerdictConflict, hashBase, hashApp},
		{"same, moved back: adopt again", cred(hashBase), cred(hashOld), nil, VerdictAdoptAgain, hashBase, hashBase},
		{"moved, moved back: adopt the new one", cred(hashNew), cred(hashOld), nil, VerdictAdoptAgain, hashNew, hashNew},
		{"moved to the same value: agree", cred(hashNew), cred(hashNew), nil, VerdictAgree, hashNew, hashNew},
		{"moved to different values: hold", cred(hashNew), cred(hashApp), nil, VerdictConflict, hashNew, hashApp},
		{"the same, proven by PAM: os", cred(hashNew), cred(hashApp), func(in *Input) { in.Open = proven }, VerdictAdopt, hashNew, hashNew},
		{"the same, rule store", cred(hashNew), cred(hashApp), func(in *Input) { in.Policy.Conflict = RuleStore }, VerdictApply, hashApp, hashApp},
		{"the same, rule newest without times: hold", cred(hashNew), cred(hashApp), func(in *Input) { in.Policy.Conflict = RuleNewest }, VerdictConflict, hashNew, hashApp},
		{"a person prefers the store", cred(hashNew), cred(hashApp), func(in *Input) { in.Evidence.Prefer = StoreSide }, VerdictApply, hashApp, hashApp},
		{"the state was lost, and the store moved: hold", cred(hashBase), cred(hashApp), func(in *Input) { in.PastUnknown = true }, VerdictConflict, hashBase, hashApp},
		{"the same, after a change by PAM: put back", cred(hashBase), cred(hashApp), func(in *Input) { in.PastUnknown, in.Announced = true, true }, VerdictAdoptAgain, hashBase, hashBase},
		{"the same, rule os", cred(hashBase), cred(hashApp), func(in *Input) { in.PastUnknown, in.Policy.Conflict = true, RuleOS }, VerdictAdoptAgain, hashBase, hashBase},
		{"the same, rule store", cred(hashBase), cred(hashApp), func(in *Input) {
			in.PastUnknown, in.Announced, in.Policy.Conflict = true, true, RuleStore
		}, VerdictApply, hashApp, hashApp},
		{"the same, rule hold", cred(hashBase), cred(hashApp), func(in *Input) {
			in.PastUnknown, in.Announced, in.Policy.Conflict = true, true, RuleHold
		}, VerdictConflict, hashBase, hashApp},
		{"the same, and the application led before: apply", cred(hashBase), cred(hashApp), func(in *Input) { in.PastUnknown, in.StoreLed = true, true }, VerdictApply, hashApp, hashApp},
		{"the same, and a person prefers the store", cred(hashBase), cred(hashApp), func(in *Input) {
			in.PastUnknown, in.Evidence.Prefer = true, StoreSide
		}, VerdictApply, hashApp, hashApp},
		{"the state was lost, and the store lost its lock", cred(hashBase, locked), cred(hashBase), func(in *Input) {
			in.PastUnknown, in.Baseline = true, &Baseline{OS: cred(hashBase, locked), Store: held(cred(hashBase, locked), fields)}
		}, VerdictConflict, hashBase, hashBase},
		{"no baseline, and different values: hold", cred(hashBase), cred(hashMade), func(in *Input) { in.Baseline = nil }, VerdictConflict, hashBase, hashMade},
		{"the same, a pair on record", cred(hashBase), cred(hashMade), func(in *Input) {
			in.Baseline, in.Record = nil, Record{{Baseline: Baseline{OS: cred(hashBase), Store: held(cred(hashMade), fields)}}}
		}, VerdictBaseline, hashBase, hashMade},
		{"the same, in a scheme of the application's", cred(hashBase), cred(hashMade), func(in *Input) {
			in.Opaque, in.Baseline, in.Record = true, nil, Record{{Baseline: Baseline{OS: cred(hashBase), Store: held(cred(hashMade), fields)}}}
		}, VerdictBaseline, hashBase, hashMade},
		{"the same, of one that lost", cred(hashBase), cred(hashMade), func(in *Input) {
			in.Baseline, in.Record = nil, Record{{Lost: true, Baseline: Baseline{OS: cred(hashBase), Store: held(cred(hashMade), fields)}}}
		}, VerdictConflict, hashBase, hashMade},
		{"deleted password is not carried over", cred(""), cred(hashBase), nil, VerdictConflict, "", hashBase},
		{"live change back to an older value: adopt", cred(hashOld), cred(hashBase), nil, VerdictAdopt, hashOld, hashOld},
		{"one account older at boot: adopt", cred(hashOld), cred(hashBase), func(in *Input) { in.Evidence.AtBoot = true }, VerdictAdopt, hashOld, hashOld},
		{"image rollback: the newer value holds", cred(hashOld), cred(hashBase), func(in *Input) { in.Evidence = Evidence{AtBoot: true, WentBack: true} }, VerdictRollback, hashBase, hashBase},
		{"image rollback, rule os", cred(hashOld), cred(hashBase), func(in *Input) {
			in.Evidence, in.Policy.Rollback = Evidence{AtBoot: true, WentBack: true}, RuleOS
		}, VerdictRollback, hashOld, hashOld},
		{"image rollback, and an old memory dumped into the store", cred(hashOld), cred(hashApp), func(in *Input) {
			in.Evidence, in.Record = Evidence{AtBoot: true, WentBack: true}, dumped
		}, VerdictRollback, hashBase, hashBase},
		{"the same, the store led", cred(hashOld), cred(hashApp), func(in *Input) {
			in.Evidence, in.Record, in.StoreLed = Evidence{AtBoot: true, WentBack: true}, dumped, true
		}, VerdictRollback, hashBase, hashBase},
		{"the same, known by its digest alone", cred(hashOld), cred(hashApp), func(in *Input) {
			in.Evidence, in.Past = Evidence{AtBoot: true, WentBack: true}, PastOf(dumped[1].Baseline)
		}, VerdictRollback, hashBase, hashBase},
		{"the same, rule os", cred(hashOld), cred(hashApp), func(in *Input) {
			in.Evidence, in.Record, in.Policy.Rollback = Evidence{AtBoot: true, WentBack: true}, dumped, RuleOS
		}, VerdictRollback, hashOld, hashOld},
		{"the same, rule hold: the newer value waits in the store", cred(hashOld), cred(hashApp), func(in *Input) {
			in.Evidence, in.Record, in.Policy.Rollback = Evidence{AtBoot: true, WentBack: true}, dumped, RuleHold
		}, VerdictConflict, hashOld, hashBase},
		{"the same, held already", cred(hashOld), cred(hashApp), func(in *Input) {
			in.Open, in.Record, in.Policy.Rollback = heldBack, dumped, RuleHold
		}, VerdictConflict, hashOld, hashBase},
		{"the same, and one account alone: adopt", cred(hashOld), cred(hashApp), func(in *Input) {
			in.Evidence, in.Record = Evidence{AtBoot: true}, dumped
		}, VerdictAdoptAgain, hashOld, hashOld},
		{"image rollback with its store, rule newest", cred(hashOld), cred(hashOld), func(in *Input) {
			in.Evidence = Evidence{AtBoot: true, WentBack: true}
		}, VerdictRollback, hashBase, hashBase},
		{"image rollback with its store, rule os", cred(hashOld), cred(hashOld), func(in *Input) {
			in.Evidence, in.Policy.Rollback = Evidence{AtBoot: true, WentBack: true}, RuleOS
		}, VerdictRollback, hashOld, hashOld},
		{"image rollback with its store, rule hold: the newer value is left to choose", cred(hashOld), cred(hashOld), func(in *Input) {
			in.Evidence, in.Policy.Rollback = Evidence{AtBoot: true, WentBack: true}, RuleHold
		}, VerdictConflict, hashOld, hashBase},
		{"image rollback, and the store has a new value: hold", cred(hashOld), cred(hashApp), func(in *Input) {
			in.Evidence = Evidence{AtBoot: true, WentBack: true}
		}, VerdictConflict, hashOld, hashApp},
		{"a held rollback, rule newest now, and the store has a new value", cred(hashOld), cred(hashApp), func(in *Input) {
			in.Open = heldBack
		}, VerdictRollback, hashApp, hashApp},
		{"the password was deleted, and an old memory dumped into the store", cred(""), cred(hashOld), nil, VerdictConflict, "", hashBase},
		{"the application rewrote the OS: put back", cred(hashOld), cred(hashBase), func(in *Input) { in.Evidence.Writer = WriterApplication }, VerdictAdoptAgain, hashBase, hashBase},
		{"the application cleared must-change: put back", cred(hashBase, today), cred(hashBase), func(in *Input) {
			in.Baseline = &Baseline{OS: cred(hashBase, mustChange), Store: base.Store}
			in.Evidence.Writer = WriterApplication
		}, VerdictAdoptAgain, hashBase, hashBase},
		{"the application rewrote the OS over a pending change", cred(hashBase), cred(hashBase), func(in *Input) {
			in.Open, in.Evidence.Settling = pending, true
		}, VerdictAdoptAgain, hashNew, hashNew},
		{"pending and the store still down", cred(hashNew), cred(hashBase), func(in *Input) {
			in.Open, in.Fault = pending, &StoreFault{Reason: "store: down"}
		}, VerdictPending, hashNew, hashBase},
		{"a format that the application cannot verify", cred(hashNew), cred(hashBase), func(in *Input) { in.Formats = Formats{"$6$"} }, VerdictNeedsLogin, hashNew, hashBase},
		{"both hold what the application cannot verify", cred(hashBase), cred(hashBase), foreign(nil), VerdictNeedsLogin, hashBase, hashBase},
		{"the same, and a login gave what it can", cred(hashBase), cred(hashBase), foreign(login), VerdictRenew, hashBase, hashMade},
		{"the same, and that is in the store", cred(hashBase), cred(hashMade), foreign(login), VerdictAgree, hashBase, hashMade},
		{"lock mark alone", cred(hashBase, locked), cred(hashBase), nil, VerdictAdopt, hashBase, hashBase},
		{"what the store cannot hold", cred(hashBase, maxDays), cred(hashBase), nil, VerdictAgree, hashBase, hashBase},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{OS: &c.os, Store: ptr(held(c.store, fields)), Fields: fields, Baseline: &base, Record: old, Today: 20500}
			if c.change != nil {
				c.change(&in)
			}
			d := Merge(in)
			if d.Verdict != c.want || d.OS.Hash != c.wantOS || d.Store.Hash != c.wantStore {
				t.Errorf("got %s\nwant %s, os %q, store %q", showDecision(d), c.want, c.wantOS, c.wantStore)
			}
		})
	}
}

// TestUnlockedBeforeItsLockWasAcknowledged: passwd -u followed passwd -l so soon that the store had our lock
// already, but not the baseline. The lock is no wish of the application's then.
func TestUnlockedBeforeItsLockWasAcknowledged(t *testing.T) {
	const fields = FieldHash | FieldLocked
	in := Input{
		OS: ptr(cred(hashBase)), Store: ptr(held(cred(hashBase, locked), fields)), Fields: fields,
		Baseline: &Baseline{OS: cred(hashBase), Store: held(cred(hashBase), fields)},
		Open:     &Change{State: Queued, Verdict: VerdictAdopt, OS: cred(hashBase, locked), Origin: Origin{SeenBy: SeenByWatch, At: epoch}},
	}
	if d := Merge(in); d.Verdict != VerdictAdopt || d.OS.Locked || d.Store.Locked {
		t.Errorf("%s: OS locked %v, store locked %v", d.Verdict, d.OS.Locked, d.Store.Locked)
	}
	in.Open = nil // the application locked it itself
	if d := Merge(in); d.Verdict != VerdictApply || !d.OS.Locked || !d.Store.Locked {
		t.Errorf("%s: OS locked %v, store locked %v", d.Verdict, d.OS.Locked, d.Store.Locked)
	}
}
