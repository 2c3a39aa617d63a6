package shadowsync

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// The values of the product. Every hash is different; "pair" is the store's format of the OS's new
// value, which a login gave.
const (
	hashBase = "$y$base"
	hashNew  = "$y$new"
	hashPair = "$6$new"
	hashMade = "$6$base" // given by a login with the base password
	hashApp  = "$6$app"
	hashOld  = "$6$old"
)

var epoch = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func cred(hash string, change ...func(*Credential)) Credential {
	c := NoAgeing()
	c.Hash, c.LastChange, c.Max = hash, 20000, 99999
	for _, f := range change {
		f(&c)
	}
	return c
}

func locked(c *Credential)     { c.Locked = true }
func mustChange(c *Credential) { c.MustChange, c.LastChange = true, NoDay }
func today(c *Credential)      { c.LastChange = 20500 }
func maxDays(c *Credential)    { c.Max = 90 }

// held is what a store with these fields returns for a credential.
func held(c Credential, fields Fields) Credential { return Credential{}.With(c, fields) }

func ptr[T any](v T) *T { return &v }

// essential returns the input without what Merge ignores: inputs with the same essential input are
// one case. TestMergeInvariants tries each such case once. Of the other inputs it compares a sample
// with their case.
func essential(in Input) Input {
	if in.OS == nil { // the account is gone, so nothing else counts
		in.Open, in.Record, in.Fault, in.Refusal, in.Evidence, in.Policy, in.Formats = nil, nil, nil, "", Evidence{}, Policy{}, nil
		return in
	}
	if in.Fault != nil { // the store could not be read, so its value is unknown
		in.Store, in.Refusal, in.Policy.Create, in.Evidence.StoreAt = nil, "", false, time.Time{}
		if in.Policy.First != Neither {
			in.Policy = Policy{}
		}
	}
	if in.Policy.Conflict != RuleNewest {
		in.Evidence.StoreAt = time.Time{}
	}
	if !in.Evidence.WentBack && !in.Open.heldBack() {
		in.Policy.Rollback = RuleDefault
	}
	return in
}

// isSame reports whether an input equals its essential input.
func isSame(in, e Input) bool {
	return in.Store == e.Store && in.Fault == e.Fault && in.Open == e.Open && in.Refusal == e.Refusal &&
		len(in.Record) == len(e.Record) && len(in.Formats) == len(e.Formats) && in.Evidence == e.Evidence && in.Policy == e.Policy
}

// productOS are the OS's values of the product.
var productOS = []*Credential{
	nil, ptr(cred(hashBase)), ptr(cred(hashNew, today)), ptr(cred(hashApp)), ptr(cred(hashOld)),
	ptr(cred("")), ptr(cred("", locked)), ptr(cred("*")), ptr(cred("x")),
	ptr(cred(hashBase, locked)), ptr(cred(hashBase, mustChange)), ptr(cred(hashBase, maxDays, today)),
}

// product calls check with every combination of the dimensions of Merge's input.
func product(f Fields, check func(Input)) {
	formats := []Formats{nil, {"$6$"}}
	storeValues := []*Credential{
		nil, ptr(cred(hashBase)), ptr(cred(hashNew, today)), ptr(cred(hashPair)), ptr(cred(hashMade)), ptr(cred(hashApp)), ptr(cred(hashOld)),
		ptr(cred("")), ptr(cred("", locked)), ptr(cred("*")), ptr(cred(hashBase, locked)), ptr(cred(hashBase, maxDays)),
	}
	for _, fm := range formats {
		for _, os := range productOS {
			for _, store := range storeValues {
				in := Input{OS: os, Fields: f, Formats: fm, Today: 20500}
				if store != nil {
					in.Store = ptr(held(*store, f))
				}
				overMemory(in, check)
			}
		}
	}
}

func overMemory(in Input, check func(Input)) {
	origins := []Origin{{SeenBy: SeenByPAM, At: epoch}, {SeenBy: SeenByWatch, At: epoch}}
	opens := []*Change{nil}
	for _, o := range origins {
		for _, state := range []ChangeState{Queued, Pending, Conflict, NeedsLogin} {
			opens = append(opens,
				&Change{State: state, Verdict: VerdictAdopt, OS: cred(hashNew, today), Origin: o},
				&Change{State: state, Verdict: VerdictAdopt, OS: cred(hashNew, today), StoreHash: hashPair, Origin: o})
		}
	}
	opens = append(opens,
		&Change{State: Conflict, Verdict: VerdictRefused, Reason: "too long", OS: cred(hashNew, today), Origin: origins[0]},
		&Change{State: Queued, Verdict: VerdictAdopt, OS: cred(hashNew, today, locked), Fields: FieldLocked, Origin: origins[0]},
		&Change{State: Conflict, Verdict: VerdictConflict, Reason: reasonRollback, OS: cred(hashOld), Origin: origins[1]},
		&Change{State: Missing, Verdict: VerdictMissing, Origin: origins[1]},
		&Change{State: NeedsLogin, Verdict: VerdictNeedsLogin, OS: cred(hashBase), StoreHash: hashMade, Origin: Origin{SeenBy: SeenByStore}},
		&Change{State: Queued, Verdict: VerdictApply, OS: cred(hashApp), Origin: Origin{SeenBy: SeenByStore}})
	old := Record{{Baseline: Baseline{OS: cred(hashOld), Store: held(cred(hashOld), in.Fields)}, Replaced: epoch}}
	for _, open := range opens {
		in.Open = open
		for _, record := range []Record{nil, old} {
			in.Record = record
			in.Baseline = nil
			overCircumstances(in, check)
			in.Baseline = &Baseline{OS: cred(hashBase), Store: held(cred(hashBase), in.Fields)}
			overCircumstances(in, check)
		}
	}
}

func overCircumstances(in Input, check func(Input)) {
	evidence := []Evidence{
		{},
		{Writer: WriterApplication},
		{Writer: WriterOther, Settling: true},
		{Settling: true},
		{AtBoot: true},
		{AtBoot: true, WentBack: true},
		{Prefer: OSSide},
		{Prefer: StoreSide},
		{StoreAt: epoch.Add(time.Hour)},
		{StoreAt: epoch.Add(-time.Hour)},
	}
	policies := []Policy{
		{},
		{Conflict: RuleOS},
		{Conflict: RuleStore},
		{Conflict: RuleNewest},
		{Conflict: RuleHold},
		{Rollback: RuleOS},
		{Rollback: RuleHold},
		{First: OSSide},
		{First: StoreSide},
		{First: OSSide, Create: true},
	}
	faults := []*StoreFault{nil, {Reason: "store: down"}, {Reason: "store: malformed", Malformed: true}, {Reason: "store: record", Malformed: true, single: true}}
	for _, e := range evidence {
		for _, p := range policies {
			proven := in.Open != nil && in.Open.Vouches() // a rule decides about a first pair only then
			if in.Baseline == nil && (p.Conflict != "" && !proven || p.Rollback != "") || in.Baseline != nil && p.First != "" && !p.Create {
				continue // the rule cannot apply
			}
			for _, refusal := range []string{"", "uid 0"} {
				for _, fault := range faults {
					in.Evidence, in.Policy, in.Refusal, in.Fault = e, p, refusal, fault
					check(in)
					if e == (Evidence{}) || e.Prefer != Neither {
						for _, announced := range []bool{false, true} {
							in.PastUnknown, in.Announced = true, announced
							check(in)
						}
						in.PastUnknown, in.Announced = false, false
					}
				}
			}
		}
	}
}

// TestMergeInvariants checks, over the whole product, what must hold for every decision.
func TestMergeInvariants(t *testing.T) {
	for name, fields := range map[string]Fields{
		"hash only":          FieldHash,
		"hash and lock mark": FieldHash | FieldLocked,
		"all fields":         AllFields,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crypt := func(check func(Input)) { product(fields, check) }
			checkInvariants(t, crypt, func(v Verdict) bool { return v != VerdictUnproven && v != VerdictChanged })
		})
	}
	t.Run("opaque", func(t *testing.T) {
		t.Parallel()
		checkInvariants(t, opaqueProduct, func(v Verdict) bool { return v != VerdictApply && v != VerdictRenew })
	})
}

func checkInvariants(t *testing.T, product func(check func(Input)), reached func(Verdict) bool) {
	turn, cases, verdicts := 0, 0, map[Verdict]int{}
	product(func(in Input) {
		turn++
		if turn%productStep != 0 {
			return
		}
		if e := essential(in); !isSame(in, e) {
			if turn%601 == 0 {
				sameDecision(t, in, e)
			}
			return
		}
		if testing.Short() && productStep == 1 && turn%29 != 0 {
			return
		}
		cases++
		d := Merge(in)
		verdicts[d.Verdict]++
		for _, broken := range []string{
			inventsNothing(in, d), leavesGoneAlone(in, d), keepsStoreOut(in, d), carriesNoDeletion(in, d),
			nothingWritesNothing(in, d), keepsAnnounced(in, d), keepsPending(in, d), holdsRollback(in, d), losesNothing(in, d), takesNoMemory(in, d), converges(in, d), soundDays(d), needsNoPast(in, d),
			keepsOpaqueApart(in, d), doubtsAndWrites(in, d), takesProof(in, d),
		} {
			if broken != "" {
				t.Fatalf("%s\ninput %s\ndecision %s", broken, show(in), showDecision(d))
			}
		}
	})
	t.Logf("%d of %d inputs, verdicts %v", cases, turn, verdicts)
	for v := range strength {
		if (verdicts[v] > 0) != reached(v) {
			t.Errorf("the product reaches verdict %q %d times: it tests less than it should, or more is decided", v, verdicts[v])
		}
	}
}

// sameDecision checks that essential is right: both inputs have the same decision. An unreadable
// store value is passed through, so it is not compared.
func sameDecision(t *testing.T, in, essential Input) {
	t.Helper()
	d, e := Merge(in), Merge(essential)
	if in.OS == nil || in.Fault != nil {
		d.Store, e.Store = nil, nil
	}
	if !reflect.DeepEqual(d, e) {
		t.Fatalf("what should not count does\ninput %s\ndecision %s\nwithout it %s", show(in), showDecision(d), showDecision(e))
	}
}

// takesNoMemory: while the past is unknown, what only the store says never reaches the OS unless a
// rule or a person is for the store.
func takesNoMemory(in Input, d Decision) string {
	if !in.PastUnknown || in.StoreLed || in.OS == nil || in.Baseline == nil || in.Policy.Conflict == RuleStore || in.Evidence.Prefer == StoreSide {
		return ""
	}
	if d.OS.Hash != in.OS.Hash && d.OS.Hash != in.Baseline.OS.Hash && (in.Open == nil || d.OS.Hash != in.Open.OS.Hash) {
		return "a value that the application may remember went to the OS"
	}
	return ""
}

// needsNoPast: record and past are not loaded for an account that did not move.
func needsNoPast(in Input, d Decision) string {
	if in.moved() || in.Record == nil && in.Past == nil {
		return ""
	}
	in.Record, in.Past = nil, nil
	if e := Merge(in); e.Verdict != d.Verdict || *e.OS != *d.OS || (e.Store == nil) != (d.Store == nil) || e.Store != nil && *e.Store != *d.Store {
		return "the past decides where nothing moved: " + showDecision(e)
	}
	return ""
}

func inventsNothing(in Input, d Decision) string {
	known := []string{}
	add := func(cs ...*Credential) {
		for _, c := range cs {
			if c != nil {
				known = append(known, c.Hash)
			}
		}
	}
	known = append(known, in.Lent)
	add(in.OS, in.Store)
	if in.Baseline != nil {
		add(&in.Baseline.OS, &in.Baseline.Store)
	}
	if in.Open != nil {
		known = append(known, in.Open.OS.Hash, in.Open.StoreHash)
	}
	for _, e := range in.Record {
		known = append(known, e.Store.Hash)
	}
	for _, c := range []*Credential{d.OS, d.Store} {
		if c != nil && !slices.Contains(known, c.Hash) {
			return "a hash that nobody held: " + c.Hash
		}
	}
	return ""
}

func leavesGoneAlone(in Input, d Decision) string {
	if in.OS == nil && d.OS != nil {
		return "creates an account on the OS side"
	}
	if in.OS != nil && d.OS == nil {
		return "has no value for an OS side that is there"
	}
	asked := in.Policy.Create || in.Baseline == nil && decidedForOS(in.Open) // by setup
	if in.Store == nil && in.Fault == nil && !asked && d.Store != nil {
		return "creates an account in the store, unasked"
	}
	return ""
}

// keepsStoreOut: a refused store value does not reach the OS (invariant 9).
func keepsStoreOut(in Input, d Decision) string {
	if in.Refusal == "" || in.Store == nil || in.Fault != nil || d.OS == nil || d.OS.Hash != in.Store.Hash {
		return ""
	}
	ours := []string{in.OS.Hash}
	if in.Baseline != nil {
		ours = append(ours, in.Baseline.OS.Hash)
	}
	if in.Open != nil {
		ours = append(ours, in.Open.OS.Hash)
	}
	if !slices.Contains(ours, d.OS.Hash) {
		return "a refused store value reaches the OS"
	}
	return ""
}

// carriesNoDeletion: no decision makes a side open, or gives it a field that is no password.
func carriesNoDeletion(in Input, d Decision) string {
	for _, kind := range []Kind{KindOpen, KindElsewhere} {
		was := func(c *Credential) bool { return c != nil && c.Kind() == kind }
		if !in.Opaque && was(d.Store) && !was(in.Store) && in.Fault == nil && in.OS != nil {
			return "the store becomes " + string(kind)
		}
		if was(d.OS) && !was(in.OS) {
			return "the OS becomes " + string(kind)
		}
	}
	return ""
}

func nothingWritesNothing(in Input, d Decision) string {
	if d.Verdict == VerdictMissing && d.WroteBack {
		return "" // the OS side is repaired even if the store has no such account
	}
	if d.Verdict != VerdictNothing && d.Verdict != VerdictMissing {
		return ""
	}
	if d.OS != nil && !Equal(*d.OS, *in.OS, AllFields) {
		return "nothing to do, yet the OS is written"
	}
	if d.Store != nil && in.Store != nil && in.Fault == nil && !Equal(*d.Store, *in.Store, in.Fields) {
		return "nothing to do, yet the store is written"
	}
	return ""
}

// keepsAnnounced: a value that PAM or our tools just set is never removed from the OS side, unless an
// administrator or the account's own rule says so.
func keepsAnnounced(in Input, d Decision) string {
	o, e := in.Open, in.Evidence
	if in.OS == nil || o == nil || o.State != Queued || !o.Vouches() || in.OS.Hash != o.OS.Hash {
		return ""
	}
	rule := in.Policy.Conflict
	if rule == RuleStore || rule == RuleNewest || e.Prefer == StoreSide || in.Baseline == nil && in.Policy.First == StoreSide {
		return ""
	}
	if d.OS.Hash != in.OS.Hash {
		return "a proven change is taken back"
	}
	return ""
}

// keepsPending: an application that writes its old memory over a pending change does not undo it.
func keepsPending(in Input, d Decision) string {
	o, e := in.Open, in.Evidence
	if in.OS == nil || o == nil || o.State != Pending || e.Writer != WriterApplication {
		return ""
	}
	if in.Baseline == nil {
		if e.Prefer != StoreSide && in.Policy.First != StoreSide && in.Policy.Conflict == RuleDefault && d.OS.Hash != o.OS.Hash && !in.OS.MustChange {
			return "the application undid a pending change that has no baseline"
		}
		return ""
	}
	if !Equal(*in.OS, in.Baseline.OS, AllFields) || in.Store == nil && in.Fault == nil {
		return ""
	}
	storeMoved := in.Fault == nil && !Equal(*in.Store, in.Baseline.Store, in.Fields)
	if !storeMoved && d.OS.Hash != o.OS.Hash {
		return "the application undid a pending change"
	}
	return ""
}

// holdsRollback: at every look, the value that a rollback brought waits for a decision, and only a
// decision brings it to the store.
func holdsRollback(in Input, d Decision) string {
	if !in.Open.heldBack() || in.Policy.Rollback != RuleHold || in.Baseline == nil || in.OS == nil || in.Evidence.Prefer != Neither {
		return ""
	}
	if in.OS.Hash == in.Open.OS.Hash && d.Verdict.State() == InSync {
		return "a held rollback is settled by itself"
	}
	if d.Store != nil && d.Store.Hash == in.Open.OS.Hash && (in.Store == nil || in.Store.Hash != d.Store.Hash) && in.OS.Hash != d.Store.Hash {
		return "what a rollback brought reaches the store"
	}
	return ""
}

// losesNothing: every present value that a settled decision replaces goes to the history.
func losesNothing(in Input, d Decision) string {
	if d.Verdict.State() != InSync || d.Baseline == nil {
		return ""
	}
	it := item{in: in, decision: d}
	kept := slices.Concat(in.Record, it.displaced(epoch), Record{{Baseline: *d.Baseline}})
	holds := func(hash string) bool {
		return hash == "" || hash == "x" || slices.ContainsFunc(kept, func(e Entry) bool { return e.OS.Hash == hash || e.Store.Hash == hash })
	}
	if !holds(in.OS.Hash) {
		return "the OS value is lost"
	}
	if in.Store != nil && in.Fault == nil && !holds(in.Store.Hash) {
		return "the store value is lost"
	}
	if in.Baseline != nil && !holds(in.Baseline.OS.Hash) {
		return "the old baseline is lost"
	}
	return ""
}

// converges: once the decision is carried out, nothing is left to do.
func converges(in Input, d Decision) string {
	if d.Verdict.State() != InSync || d.Baseline == nil || in.Fault != nil {
		return ""
	}
	after := in
	after.OS, after.Store, after.Baseline, after.Open = d.OS, d.Store, d.Baseline, nil
	after.Refusal = ""
	for _, e := range []Evidence{{}, {Settling: true}, {Writer: WriterApplication}} {
		after.Evidence = e
		again := Merge(after)
		if again.Reason == reasonForeign && !in.Formats.Accept(d.Store.Hash) {
			continue // although the sides are settled, the pair waits for a login
		}
		if again.Verdict != VerdictNothing {
			return fmt.Sprintf("not settled after being carried out: %s", showDecision(again))
		}
	}
	return ""
}

func soundDays(d Decision) string {
	if d.OS != nil && d.OS.LastChange == 0 {
		return "a last-change day of 0 would force a change"
	}
	if d.OS != nil && d.OS.MustChange && d.OS.LastChange != NoDay {
		return "must-change with a last-change day: shadow(5) has one field for both"
	}
	return ""
}

func show(in Input) string {
	text := fmt.Sprintf("fields %b formats %v refusal %q fault %v record %d evidence %+v policy %+v\n", in.Fields, in.Formats, in.Refusal, in.Fault, len(in.Record), in.Evidence, in.Policy)
	for name, c := range map[string]*Credential{"os": in.OS, "store": in.Store} {
		if c != nil {
			text += fmt.Sprintf("  %s %+v\n", name, *c)
		}
	}
	if in.Baseline != nil {
		text += fmt.Sprintf("  baseline %+v\n", *in.Baseline)
	}
	if in.Open != nil {
		text += fmt.Sprintf("  open %+v\n", *in.Open)
	}
	return text
}

func showDecision(d Decision) string {
	text := fmt.Sprintf("%s %q", d.Verdict, d.Reason)
	if d.OS != nil {
		text += fmt.Sprintf("\n  os %+v", *d.OS)
	}
	if d.Store != nil {
		text += fmt.Sprintf("\n  store %+v", *d.Store)
	}
	if d.Baseline != nil {
		text += fmt.Sprintf("\n  baseline %+v", *d.Baseline)
	}
	return text
}
