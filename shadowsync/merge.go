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

// Rule says how a conflict or a rollback is settled.
type Rule string

// The rules. RuleDefault is `os` for an announced change (PAM or our own tools), else `hold`.
const (
	RuleDefault Rule = ""
	RuleOS      Rule = "os"
	RuleStore   Rule = "store"
	RuleNewest  Rule = "newest"
	RuleHold    Rule = "hold"
)

// Policy is what the configuration says about an account's merges.
type Policy struct {
	Conflict Rule // newest (the default), os or hold
	Rollback Rule // newest (the default), os or hold
	First    Side // which side wins while there is no baseline; Neither: hold
	Create   bool // an account that the store lacks may be created there (setup)
}

// Writer says who wrote the OS side last, as far as the kernel told.
type Writer int

// The writers that matter to a merge.
const (
	WriterUnknown     Writer = iota
	WriterApplication        // a process of the application's own unit
	WriterOther
)

// StoreFault says that a store could not be read: it is unavailable for now, or malformed.
type StoreFault struct {
	Reason    string // for people
	Malformed bool   // waiting does not help; an administrator must decide
	single    bool   // the store was read; only this account is missing there, or malformed
}

// Evidence is what is known about the circumstances of a difference.
type Evidence struct {
	Writer   Writer
	Settling bool      // the application started less than its settle time ago
	AtBoot   bool      // first look after a boot
	WentBack bool      // unmanaged lines or the image's identity also returned to an older state
	StoreAt  time.Time // when the store's record changed; zero if the store does not tell
	Prefer   Side      // an administrator's choice for the conflict
}

// Input is everything that Merge looks at.
type Input struct {
	OS    *Credential // nil: the account is gone there
	Store *Credential // nil: the account is not in the store
	// Fault says why the store could not be read; then Store is meaningless. Nil: it was read.
	Fault *StoreFault
	// Refusal says why the store's value may not reach the OS; empty: it may.
	Refusal string

	Fields  Fields  // what the store can hold
	Formats Formats // what its application can verify
	// Opaque: the store's values are of a scheme of the application's own. They mean nothing here:
	// only a clear text can show to which password one belongs. Formats is empty then.
	Opaque bool

	// Lent is what another store of the application has for the OS's present password, where this one
	// must hold the same, byte for byte; empty: nothing is known of it, or each has its own.
	Lent string

	Baseline *Baseline // nil: none yet
	Open     *Change   // recorded and not settled
	Record   Record
	Past     Past
	// StoreLed: the value that both sides hold came from the store. The application knows it, so
	// what it writes next is not an old memory.
	StoreLed bool
	// Announced: the value that both sides hold was announced by PAM or one of our tools.
	Announced bool
	// PastUnknown: Record and Past may lack what the application remembers. So a store that moved
	// to a value not on record is no wish yet.
	PastUnknown bool

	Evidence Evidence
	Policy   Policy
	Today    Day
}

// Verdict is the kind of a decision.
type Verdict string

// The verdicts, weakest first. A decision over several units has the verdict of its strongest.
const (
	VerdictNothing    Verdict = "in-sync"
	VerdictAgree      Verdict = "agreed"        // both sides moved to the same value, or only fields moved that the store cannot hold
	VerdictBaseline   Verdict = "baseline"      // first pair taken
	VerdictApply      Verdict = "applied"       // store -> OS
	VerdictRenew      Verdict = "renewed"       // the store gets a new hash of the same password, in a format that its application can verify
	VerdictAdopt      Verdict = "adopted"       // OS -> store
	VerdictAdoptAgain Verdict = "adopted-again" // the application wrote its old memory over the new value
	VerdictRollback   Verdict = "rolled-back"   // an image rollback was recognised; the rule says what holds
	VerdictUnproven   Verdict = "unproven"      // an opaque store value moved, and nothing shows to which password it belongs
	VerdictChanged    Verdict = "changed"       // a clear text has shown that it belongs to another password than the OS's
	VerdictPending    Verdict = "pending"
	VerdictNeedsLogin Verdict = "needs-login"
	VerdictMissing    Verdict = "missing"
	VerdictRefused    Verdict = "refused" // the store refuses the value
	VerdictConflict   Verdict = "conflict"
)

var strength = map[Verdict]int{
	VerdictNothing: 0, VerdictAgree: 1, VerdictBaseline: 2, VerdictApply: 3, VerdictRenew: 4, VerdictAdopt: 5, VerdictAdoptAgain: 6,
	VerdictRollback: 7, VerdictUnproven: 8, VerdictChanged: 9, VerdictPending: 10, VerdictNeedsLogin: 11, VerdictMissing: 12, VerdictRefused: 13,
	VerdictConflict: 14,
}

// toStore reports whether a change with this verdict is on its way into the store.
func (v Verdict) toStore() bool {
	switch v {
	case VerdictAdopt, VerdictAdoptAgain, VerdictRenew, VerdictPending, VerdictNeedsLogin, VerdictRollback:
		return true
	}
	return false
}

// State returns the account's state after the decision was carried out.
func (v Verdict) State() ChangeState {
	switch v {
	case VerdictUnproven:
		return Unproven
	case VerdictChanged:
		return Changed
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

// Decision is the result of Merge. OS and Store are what each side must hold; a side that holds it
// already needs no write. Baseline is the merge base once both sides hold it. Units in conflict
// keep the present values on both sides and the old baseline.
type Decision struct {
	Verdict  Verdict
	Reason   string // for people
	OS       *Credential
	Store    *Credential
	Baseline *Baseline
	// Awaits: the decision is about something else, and the pair that both sides hold still waits
	// for a login, which gives the store's hash.
	Awaits bool
	// WroteBack: the application wrote its old memory over one of the sides.
	WroteBack bool
}

// The reasons shown to people.
const (
	reasonGoneOS         = "the account is gone from the OS"
	reasonGoneStore      = "the account is not in the credential store"
	reasonNoBaseline     = "OS and store differ and there is no baseline yet"
	reasonBothChanged    = "OS and store changed to different values"
	reasonPastUnknown    = "the store changed, and the application may remember this value from before the state was lost"
	reasonEmpty          = "the OS password field is empty, so no password is asked for; that is not copied to the store"
	reasonStoreEmpty     = "the account has no password in the credential store; that is not copied to the OS"
	reasonStoreElsewhere = "the credential store says that the password is kept elsewhere; that is not copied to the OS"
	reasonElsewhere      = "the OS password field says that the password is kept elsewhere; that is not copied to the store"
	reasonLockedOnly     = "the OS account is locked and has no password; the credential store cannot hold a lock"
	reasonRollback       = "the system was rolled back to an older state"
	reasonNeedsLogin     = "the store takes another hash format; it is made at the next login or password change"
	reasonUnproven       = "the application changed its hash, which it also does at a login; the next login or password change shows whether the password is the same"
	reasonFirstPair      = "the application keeps a hash of its own; the next login or password change shows whether the password is the same"
	reasonChanged        = "the password was changed in the application; set a new one to have the same on both sides"
	reasonFirstDiffers   = "the application has another password; set a new one to have the same on both sides"
	reasonOpaque         = "the store's hash cannot be copied to the OS: it is in the application's own scheme"
	reasonNoHash         = "the OS account has no password; the credential store's scheme has no value for that"
	reasonForeign        = "the application cannot verify what its store holds; it is made anew at the next login or password change"
)

// moved reports whether there may be something to decide. If nothing moved and nothing is open,
// Merge needs neither record nor past.
func (in Input) moved() bool {
	switch {
	case in.Baseline == nil || in.Open != nil || in.OS == nil || !Equal(*in.OS, in.Baseline.OS, AllFields):
		return true
	case in.Fault != nil:
		return false
	}
	return in.Store == nil || !Equal(*in.Store, in.Baseline.Store, in.Fields)
}

// takes reports whether the store takes an OS hash as it is.
func (in Input) takes(osHash string) bool { return !in.Opaque && in.Formats.Accept(osHash) }

// Merge decides what OS and store must hold. It is pure and total: every input has exactly one
// decision, and the same input always has the same one.
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

// mergeWithoutStore merges with the store value last known. A change for the store stays pending;
// what concerns only the OS is decided.
func mergeWithoutStore(in Input) Decision {
	if in.Baseline == nil {
		m := newMerger(in)
		m.decideFirst()
		return m.undecided(in.Fault.verdict(), in.Fault.Reason)
	}
	in.Store = &in.Baseline.Store
	in.Evidence.Prefer = Neither // without the store there is no choice between sides
	d := newMerger(in).decide()
	if in.Fault.single {
		d.Verdict, d.Reason, d.Store, d.Baseline = in.Fault.verdict(), in.Fault.Reason, nil, in.Baseline
		if !d.WroteBack {
			d.OS = in.OS
		}
		return d
	}
	if Equal(*d.Store, *in.Store, in.Fields) {
		if d.Verdict.State() == InSync && in.Open.repairs(in.Baseline.OS) && Equal(*d.OS, in.Baseline.OS, AllFields) {
			d.Verdict, d.Reason = in.Fault.verdict(), in.Fault.Reason // the store held something else when it was last seen
		}
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
