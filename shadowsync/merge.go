package shadowsync

import "time"

// Side names one of the two holders of a credential.
type Side string

// The two sides, and neither.
const (
	Neither   Side = ""
	OSSide    Side = "os"
	StoreSide Side = "store"
)

// Rule settles a conflict or a rollback.
type Rule string

// The rules. RuleDefault is `os` for a proven change (PAM or our own tools), else `hold`.
const (
	RuleDefault Rule = ""
	RuleOS      Rule = "os"
	RuleStore   Rule = "store"
	RuleNewest  Rule = "newest"
	RuleHold    Rule = "hold"
)

// Policy is what the configuration says about an account's merges.
type Policy struct {
	Conflict Rule // os, store, newest, hold or the default
	Rollback Rule // newest (the default), os or hold
	First    Side // which side wins while there is no baseline; Neither: hold
	Create   bool // an account that the store lacks may be created there (setup)
}

// Writer tells who wrote the OS side last, as far as the kernel told.
type Writer int

// The writers that matter to a merge.
const (
	WriterUnknown     Writer = iota
	WriterApplication        // a process of the application's own unit
	WriterOther
)

// StoreFault is a store that could not be read: unavailable for now, or malformed.
type StoreFault struct {
	Reason    string // for people
	Malformed bool   // waiting does not help: a person decides
	single    bool   // the store was read: this account alone is missing there, or malformed
}

// Evidence is what is known about the circumstances of a difference.
type Evidence struct {
	Writer   Writer
	Settling bool      // the application started within its settle time
	AtBoot   bool      // first look after a boot
	WentBack bool      // unmanaged lines or the image's identity returned to an older state too
	StoreAt  time.Time // when the store's record changed; zero where the store does not tell
	Prefer   Side      // a person's decision for what is contested
}

// Input is all that Merge looks at.
type Input struct {
	OS    *Credential // nil: the account is gone there
	Store *Credential // nil: the account is not in the store
	// Fault is why the store could not be read; Store says nothing then. Nil: it was read.
	Fault *StoreFault
	// Refusal is why the store's value may not reach the OS; empty: it may.
	Refusal string

	Fields  Fields  // what the store can hold
	Formats Formats // what its application can verify

	Baseline *Baseline // nil: none yet
	Open     *Change   // a change on record and not settled
	Record   Record
	Past     Past
	// StoreLed: the value both sides hold came from the store, so that the
	// application knows it, and whatever it writes next is no old memory.
	StoreLed bool

	Evidence Evidence
	Policy   Policy
	Today    Day
}

// Verdict is the kind of a decision.
type Verdict string

// The verdicts, weakest first: a decision over several units is named after its strongest.
const (
	VerdictNothing    Verdict = "in-sync"
	VerdictAgree      Verdict = "agreed"        // both sides moved to the same value, or only what the store cannot hold moved
	VerdictBaseline   Verdict = "baseline"      // first pair taken
	VerdictApply      Verdict = "applied"       // store -> OS
	VerdictRenew      Verdict = "renewed"       // the store's hash is made anew, in a format that its application can verify
	VerdictAdopt      Verdict = "adopted"       // OS -> store
	VerdictAdoptAgain Verdict = "adopted-again" // the application wrote its old memory over the new value
	VerdictRollback   Verdict = "rolled-back"   // an image rollback was recognised; the rule says what holds
	VerdictPending    Verdict = "pending"
	VerdictNeedsLogin Verdict = "needs-login"
	VerdictMissing    Verdict = "missing"
	VerdictRefused    Verdict = "refused" // the store refuses the value
	VerdictConflict   Verdict = "conflict"
)

var strength = map[Verdict]int{
	VerdictNothing: 0, VerdictAgree: 1, VerdictBaseline: 2, VerdictApply: 3, VerdictRenew: 4, VerdictAdopt: 5, VerdictAdoptAgain: 6,
	VerdictRollback: 7, VerdictPending: 8, VerdictNeedsLogin: 9, VerdictMissing: 10, VerdictRefused: 11, VerdictConflict: 12,
}

// toStore tells whether a change with this verdict is on its way into the store.
func (v Verdict) toStore() bool {
	switch v {
	case VerdictAdopt, VerdictAdoptAgain, VerdictRenew, VerdictPending, VerdictNeedsLogin, VerdictRollback:
		return true
	}
	return false
}

// State is where an account stands after a decision was carried out.
func (v Verdict) State() ChangeState {
	switch v {
	case VerdictPending:
		return Pending
	case VerdictNeedsLogin:
		return NeedsLogin
	case VerdictMissing:
		return Missing
	case VerdictConflict, VerdictRefused:
		return Conflict
	}
	return InSync
}

// Decision is what Merge wants. OS and Store are what each side must hold; a
// side that equals the present one needs no write. Baseline is the merge base
// once both sides hold that. Units that are held apart keep the present values
// on both sides and the old baseline.
type Decision struct {
	Verdict  Verdict
	Reason   string // for people
	OS       *Credential
	Store    *Credential
	Baseline *Baseline
	// Awaits: something else was decided, and what both sides hold still waits for a login
	// to be made anew.
	Awaits bool
	// WroteBack: the application wrote its old memory over one of the sides.
	WroteBack bool
}

// The reasons that people read.
const (
	reasonGoneOS      = "the account is gone from the OS"
	reasonGoneStore   = "the account is not in the credential store"
	reasonNoBaseline  = "OS and store differ and there is no baseline yet"
	reasonBothChanged = "OS and store changed to different values"
	reasonDeleted     = "the OS password was deleted (passwd -d); that is not carried over"
	reasonRollback    = "the system was rolled back to an older state"
	reasonNeedsLogin  = "the store takes another hash format; it is made at the next login or password change"
	reasonForeign     = "the application cannot verify what its store holds; it is made anew at the next login or password change"
)

// moved tells whether there may be anything to decide. Where nothing moved and
// nothing is open, neither record nor past count.
func (in Input) moved() bool {
	switch {
	case in.Baseline == nil || in.Open != nil || in.OS == nil || !Equal(*in.OS, in.Baseline.OS, AllFields):
		return true
	case in.Fault != nil:
		return false
	}
	return in.Store == nil || !Equal(*in.Store, in.Baseline.Store, in.Fields)
}

// Merge decides what OS and store must hold. It is pure and total: every input
// has exactly one decision, and the same input always the same.
func Merge(in Input) Decision {
	if in.OS == nil {
		return Decision{Verdict: VerdictMissing, Reason: reasonGoneOS, Store: in.Store, Baseline: in.Baseline}
	}
	if in.Fault != nil {
		return mergeWithoutStore(in)
	}
	if in.Store == nil && !in.Policy.Create && !(in.Baseline == nil && decidedForOS(in.Open)) {
		in.Fault = &StoreFault{Reason: reasonGoneStore, single: true}
		return mergeWithoutStore(in)
	}
	if in.Baseline == nil || in.Store == nil {
		return mergeFirst(in)
	}
	return newMerger(in).decide()
}

// mergeWithoutStore goes on with the store value last known. What would have to
// be written there stays pending; what concerns the OS alone is decided.
func mergeWithoutStore(in Input) Decision {
	if in.Baseline == nil {
		return Decision{Verdict: in.Fault.verdict(), Reason: in.Fault.Reason, OS: in.OS}
	}
	in.Store = &in.Baseline.Store
	in.Evidence.Prefer = Neither // there is no other side to prefer, or to prefer this one to
	d := newMerger(in).decide()
	if in.Fault.single {
		d.Verdict, d.Reason, d.Store, d.Baseline = in.Fault.verdict(), in.Fault.Reason, nil, in.Baseline
		if !d.WroteBack {
			d.OS = in.OS
		}
		return d
	}
	if Equal(*d.Store, *in.Store, in.Fields) {
		return d
	}
	d.Store, d.Baseline = in.Store, in.Baseline
	if strength[d.Verdict] < strength[VerdictPending] {
		d.Verdict, d.Reason = in.Fault.verdict(), in.Fault.Reason
	}
	return d
}

func (f StoreFault) verdict() Verdict {
	switch {
	case f.Malformed:
		return VerdictConflict
	case f.single:
		return VerdictMissing
	}
	return VerdictPending
}

// mergeFirst takes the first pair, or asks which side is right.
func mergeFirst(in Input) Decision {
	m := newMerger(in)
	side := in.Policy.First
	if side == Neither && decidedForOS(in.Open) {
		side = OSSide
	}
	if in.Evidence.Prefer != Neither {
		side = in.Evidence.Prefer
	}
	if in.Store == nil {
		side = OSSide
	} else if Equal(*in.OS, *in.Store, in.Fields) {
		return Decision{Verdict: VerdictBaseline, OS: in.OS, Store: in.Store, Baseline: &Baseline{OS: *in.OS, Store: *in.Store}}
	}
	all := m.in.Fields | AllFields
	switch side {
	case OSSide:
		if reason := m.cannotAdopt(all); reason.text != "" {
			return Decision{Verdict: reason.verdict, Reason: reason.text, OS: in.OS, Store: in.Store}
		}
		m.adopt(all)
		return Decision{Verdict: VerdictAdopt, OS: &m.base.OS, Store: &m.base.Store, Baseline: &m.base}
	case StoreSide:
		if in.Refusal != "" {
			return Decision{Verdict: VerdictConflict, Reason: in.Refusal, OS: in.OS, Store: in.Store}
		}
		m.base.OS = *in.OS
		m.apply(all)
		return Decision{Verdict: VerdictApply, OS: &m.base.OS, Store: &m.base.Store, Baseline: &m.base}
	}
	return Decision{Verdict: VerdictConflict, Reason: reasonNoBaseline, OS: in.OS, Store: in.Store}
}
