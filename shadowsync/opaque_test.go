package shadowsync

import (
	"slices"
	"testing"
)

// The opaque values of the product. What looks like a mark or a format of crypt(3) is none.
const (
	ownBase = "$6$own-base" // of the baseline
	ownNew  = "own-new"     // made from the clear text of the OS's new password, or proven to fit
	ownApp  = "!own-app"    // of the application, unknown
	ownOld  = "*own-old"    // on record
)

// opaqueProduct is product for a store whose values are opaque.
func opaqueProduct(check func(Input)) {
	for _, os := range productOS {
		for _, store := range []*Credential{nil, {Hash: ownBase}, {Hash: ownNew}, {Hash: ownApp}, {Hash: ownOld}, {}, {Hash: "*"}, {Hash: hashBase}} {
			in := Input{OS: os, Store: store, Fields: FieldHash, Opaque: true, Today: 20500}
			for _, open := range opaqueOpens() {
				in.Open = open
				for _, record := range []Record{nil, {{Baseline: Baseline{OS: cred(hashOld), Store: Credential{Hash: ownOld}}, Replaced: epoch}}} {
					in.Record = record
					// The last one is of a first pair that no clear text has proven.
					for _, base := range []*Baseline{nil, {OS: cred(hashBase), Store: Credential{Hash: ownBase}}, {OS: cred(hashBase)}} {
						in.Baseline = base
						overCircumstances(in, check)
					}
				}
			}
		}
	}
}

func opaqueOpens() []*Change {
	pam, watch := Origin{SeenBy: SeenByPAM, At: epoch}, Origin{SeenBy: SeenByWatch, At: epoch}
	opens := []*Change{nil}
	for _, o := range []Origin{pam, watch} {
		for _, state := range []ChangeState{Queued, Pending, Conflict, NeedsLogin} {
			for _, proof := range []string{"", ownNew} {
				opens = append(opens, &Change{State: state, Verdict: VerdictAdopt, OS: cred(hashNew, today), StoreHash: proof, Origin: o})
			}
		}
	}
	for _, proof := range []string{"", ownNew} {
		opens = append(opens,
			&Change{State: Unproven, Verdict: VerdictUnproven, Reason: reasonUnproven, OS: cred(hashBase), StoreHash: proof, Origin: Origin{SeenBy: SeenByStore}},
			&Change{State: Unproven, Verdict: VerdictUnproven, Reason: reasonFirstPair, OS: cred(hashBase), StoreHash: proof, Origin: Origin{SeenBy: SeenByStore}},
			&Change{State: Changed, Verdict: VerdictChanged, Reason: reasonChanged, OS: cred(hashBase), StoreHash: proof, Origin: Origin{SeenBy: SeenByStore}})
	}
	return append(opens,
		&Change{State: Conflict, Verdict: VerdictRefused, Reason: "too long", OS: cred(hashNew, today), Origin: pam},
		&Change{State: Queued, Verdict: VerdictUnproven, Reason: reasonUnproven, OS: cred(hashBase, locked), Fields: FieldLocked, Origin: pam},
		&Change{State: Conflict, Verdict: VerdictConflict, Reason: reasonRollback, OS: cred(hashOld), Origin: watch},
		&Change{State: Missing, Verdict: VerdictMissing, Origin: watch})
}

// keepsOpaqueApart: no opaque value reaches the OS, and no hash of the OS reaches the store.
func keepsOpaqueApart(in Input, d Decision) string {
	if !in.Opaque {
		return ""
	}
	var os, store []string
	add := func(b Baseline) {
		os = append(os, b.OS.Hash)
		if b.Store.Hash != "" { // nothing is known; it is no value to write
			store = append(store, b.Store.Hash)
		}
	}
	if in.OS != nil {
		os = append(os, in.OS.Hash)
	}
	if in.Store != nil {
		store = append(store, in.Store.Hash)
	}
	if in.Baseline != nil {
		add(*in.Baseline)
	}
	if in.Open != nil {
		add(Baseline{in.Open.OS, Credential{Hash: in.Open.StoreHash}})
	}
	for _, e := range in.Record {
		add(e.Baseline)
	}
	if d.OS != nil && !slices.Contains(os, d.OS.Hash) {
		return "an opaque value reaches the OS"
	}
	if d.Store != nil && in.Fault == nil && !slices.Contains(store, d.Store.Hash) {
		return "a hash of the OS reaches the store"
	}
	for _, e := range (&item{in: in, decision: d}).displaced(epoch) {
		if e.OS.Hash != "" && !slices.Contains(os, e.OS.Hash) {
			return "an opaque value is kept as one of the OS"
		}
	}
	return ""
}

// doubtsAndWrites: what is not proven is left as it is on both sides, and moves no baseline, guards
// nothing and is at stake nowhere. While the OS has its password, an opaque value alone is never a
// conflict.
func doubtsAndWrites(in Input, d Decision) string {
	if !in.Opaque || in.OS == nil || in.Baseline == nil || in.Store == nil || in.Fault != nil {
		return ""
	}
	sameOS := in.OS.Hash == in.Baseline.OS.Hash && d.OS.Hash == in.OS.Hash
	if o := in.Open; in.Baseline.Store.Hash == "" && o != nil && o.StoreHash == in.Store.Hash && o.OS.Hash != in.OS.Hash {
		sameOS = false // our own write has landed since, and the OS went back to a password whose value is not known
	}
	if sameOS && in.OS.isPassword() && !in.Open.heldBack() && in.Evidence.Prefer != StoreSide && d.Verdict.State() != InSync && d.Verdict.State() != Unproven && d.Verdict.State() != Changed {
		return "an opaque value alone makes it " + string(d.Verdict.State())
	}
	if d.Verdict != VerdictUnproven && d.Verdict != VerdictChanged {
		return ""
	}
	rollback := in.Evidence.WentBack || in.Open.heldBack() // it went back on both sides, and so does the repair
	if *d.Store != *in.Store && !rollback || d.Baseline.Store != in.Baseline.Store || d.Baseline.OS.Hash != in.Baseline.OS.Hash {
		return "a doubt writes the store or moves the baseline"
	}
	c := (&item{in: in, decision: d}).change(epoch)
	if m := (AccountMemory{Baseline: d.Baseline, Open: &c}); m.Guards() || m.AtStake() {
		return "a doubt guards, or is at stake"
	}
	if d.Verdict == VerdictChanged && (in.Open == nil || in.Open.Verdict != VerdictChanged) {
		return "changed, and no login said so"
	}
	return ""
}

// takesProof: a value made from the clear text of the OS's password goes to the store, whatever the
// store holds.
func takesProof(in Input, d Decision) string {
	o := in.Open
	if !in.Opaque || in.OS == nil || in.Fault != nil || in.Store == nil || in.Baseline == nil || o == nil || o.StoreHash == "" || o.OS.Hash != hashNew {
		return ""
	}
	if in.OS.Hash == o.OS.Hash && d.OS.Hash == o.OS.Hash && (d.Verdict.State() != InSync || d.Store.Hash != o.StoreHash) {
		return "a proven password does not reach the store"
	}
	return ""
}

// TestMergeOpaque is the design's row for stores of an application's own scheme, case by case.
func TestMergeOpaque(t *testing.T) {
	base := &Baseline{OS: cred(hashBase), Store: Credential{Hash: ownBase}}
	half := &Baseline{OS: cred(hashBase)} // of a first pair that is not proven
	old := Record{{Baseline: Baseline{OS: cred(hashOld), Store: Credential{Hash: ownOld}}}}
	pam := Origin{SeenBy: SeenByPAM, At: epoch}
	announced := &Change{State: Queued, Verdict: VerdictAdopt, OS: cred(hashNew), StoreHash: ownNew, Origin: pam}
	doubted := func(v Verdict, reason, proof string) *Change {
		return &Change{State: v.State(), Verdict: v, Reason: reason, OS: cred(hashBase), StoreHash: proof}
	}
	for _, c := range []struct {
		name      string
		base      *Baseline
		os        Credential
		store     string
		change    func(*Input)
		want      Verdict
		wantStore string
		wantBase  string // the store's value in the baseline; empty: there is none, or it is not known
	}{
		{"same, same", base, cred(hashBase), ownBase, nil, VerdictNothing, ownBase, ownBase},
		{"same, moved", base, cred(hashBase), ownApp, nil, VerdictUnproven, ownApp, ownBase},
		{"the same, its past unknown", base, cred(hashBase), ownApp, func(in *Input) { in.PastUnknown = true }, VerdictUnproven, ownApp, ownBase},
		{"the same, rule store", base, cred(hashBase), ownApp, func(in *Input) { in.Policy.Conflict = RuleStore }, VerdictUnproven, ownApp, ownBase},
		{"the same, and preferred", base, cred(hashBase), ownApp, func(in *Input) { in.Evidence.Prefer = StoreSide }, VerdictUnproven, ownApp, ownBase},
		{"the same, and an OS hash", base, cred(hashBase), hashBase, nil, VerdictUnproven, hashBase, ownBase},
		{"the same, and the account expires", base, cred(hashBase, mustChange), ownApp, nil, VerdictUnproven, ownApp, ownBase},
		{"proven by a login", base, cred(hashBase), ownApp, func(in *Input) { in.Open = doubted(VerdictUnproven, reasonUnproven, ownApp) }, VerdictAgree, ownApp, ownApp},
		{"proven, and moved on", base, cred(hashBase), ownNew, func(in *Input) { in.Open = doubted(VerdictUnproven, reasonUnproven, ownApp) }, VerdictUnproven, ownNew, ownBase},
		{"disproven by a login", base, cred(hashBase), ownApp, func(in *Input) { in.Open = doubted(VerdictChanged, reasonChanged, "") }, VerdictChanged, ownApp, ownBase},
		{"disproven, and proven later", base, cred(hashBase), ownApp, func(in *Input) { in.Open = doubted(VerdictChanged, reasonChanged, ownApp) }, VerdictAgree, ownApp, ownApp},
		{"disproven, and back by itself", base, cred(hashBase), ownBase, func(in *Input) { in.Open = doubted(VerdictChanged, reasonChanged, "") }, VerdictNothing, ownBase, ownBase},
		{"moved back to a value on record", base, cred(hashBase), ownOld, func(in *Input) { in.Record = old }, VerdictAdoptAgain, ownBase, ownBase},
		{"moved, same, with clear text", base, cred(hashNew), ownBase, func(in *Input) { in.Open = announced }, VerdictAdopt, ownNew, ownNew},
		{"moved, moved, with clear text", base, cred(hashNew), ownApp, func(in *Input) { in.Open = announced }, VerdictAdopt, ownNew, ownNew},
		{"moved, moved, rule store", base, cred(hashNew), ownApp, func(in *Input) { in.Open, in.Policy.Conflict = announced, RuleStore }, VerdictAdopt, ownNew, ownNew},
		{"moved, hash only", base, cred(hashNew), ownBase, nil, VerdictNeedsLogin, ownBase, ownBase},
		{"moved, moved, hash only", base, cred(hashNew), ownApp, nil, VerdictNeedsLogin, ownApp, ownBase},
		{"moved back to a pair on record", base, cred(hashOld), ownBase, func(in *Input) { in.Record = old }, VerdictAdopt, ownOld, ownOld},
		{"moved to a marker", base, cred("*"), ownBase, nil, VerdictConflict, ownBase, ownBase},
		{"first pair", nil, cred(hashBase), ownApp, nil, VerdictUnproven, ownApp, ""},
		{"first pair, recorded", half, cred(hashBase), ownApp, func(in *Input) { in.Open = doubted(VerdictUnproven, reasonFirstPair, "") }, VerdictUnproven, ownApp, ""},
		{"first pair, its doubt lost", half, cred(hashBase), ownApp, nil, VerdictUnproven, ownApp, ""},
		{"first pair, proven", half, cred(hashBase), ownApp, func(in *Input) { in.Open = doubted(VerdictUnproven, reasonFirstPair, ownApp) }, VerdictAgree, ownApp, ownApp},
		{"first pair, disproven", half, cred(hashBase), ownApp, func(in *Input) { in.Open = doubted(VerdictChanged, reasonFirstDiffers, "") }, VerdictChanged, ownApp, ""},
		{"first pair, preferred", half, cred(hashBase), ownApp, func(in *Input) { in.Evidence.Prefer = OSSide }, VerdictUnproven, ownApp, ""},
		{"first pair, on record", half, cred(hashBase), ownOld, func(in *Input) { in.Record = old }, VerdictUnproven, ownOld, ""},
		{"first pair, emptied", half, cred(hashBase), "", nil, VerdictUnproven, "", ""},
		{"first pair, moved, hash only", half, cred(hashNew), ownApp, nil, VerdictNeedsLogin, ownApp, ""},
		{"first pair, the store is down", half, cred(hashBase), ownApp, func(in *Input) { in.Fault = &StoreFault{Reason: "down"} }, VerdictUnproven, "", ""},
		{"first pair, equal bytes", nil, cred(hashBase), hashBase, nil, VerdictUnproven, hashBase, ""},
		{"first pair, the OS chosen", nil, cred(hashBase), ownApp, func(in *Input) { in.Policy.First = OSSide }, VerdictNeedsLogin, ownApp, ""},
		{"first pair, the store chosen", nil, cred(hashBase), ownApp, func(in *Input) { in.Policy.First = StoreSide }, VerdictConflict, ownApp, ""},
		{"first pair, with a new password", nil, cred(hashNew), ownApp, func(in *Input) { in.Open = announced }, VerdictAdopt, ownNew, ownNew},
		{"the store is down", base, cred(hashBase), ownApp, func(in *Input) { in.Fault = &StoreFault{Reason: "down"} }, VerdictNothing, ownBase, ownBase},
		{"the store is down while unproven", base, cred(hashBase), ownApp, func(in *Input) {
			in.Fault, in.Open = &StoreFault{Reason: "down"}, doubted(VerdictUnproven, reasonUnproven, "")
		}, VerdictUnproven, ownBase, ownBase},
		{"rolled back, and moved", base, cred(hashOld), ownApp, func(in *Input) {
			in.Record, in.Evidence = old, Evidence{AtBoot: true, WentBack: true}
		}, VerdictUnproven, ownApp, ownBase},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{OS: &c.os, Store: &Credential{Hash: c.store}, Baseline: c.base, Fields: FieldHash, Opaque: true, Today: 20500}
			if c.change != nil {
				c.change(&in)
			}
			d := Merge(in)
			var inBase string
			if d.Baseline != nil {
				inBase = d.Baseline.Store.Hash
			}
			if d.Verdict != c.want || d.Store.Hash != c.wantStore || inBase != c.wantBase {
				t.Errorf("got %s, the baseline holds %q; want %s, %q, %q", showDecision(d), inBase, c.want, c.wantStore, c.wantBase)
			}
		})
	}
}
