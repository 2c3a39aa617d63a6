package shadowsync

import (
	"cmp"
	"time"
)

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
	missing   bool   // the store was read, and does not hold the account
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
	VerdictNothing: 0, VerdictAgree: 1, VerdictBaseline: 2, VerdictApply: 3, VerdictAdopt: 4, VerdictAdoptAgain: 5,
	VerdictRollback: 6, VerdictPending: 7, VerdictNeedsLogin: 8, VerdictMissing: 9, VerdictRefused: 10, VerdictConflict: 11,
}

// toStore tells whether a change with this verdict is on its way into the store.
func (v Verdict) toStore() bool {
	switch v {
	case VerdictAdopt, VerdictAdoptAgain, VerdictPending, VerdictNeedsLogin, VerdictRollback:
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
	reasonNeedsLogin  = "the store takes another hash format; it can be made at the next password change"
)

// Merge decides what OS and store must hold. It is pure and total: every input
// has exactly one decision, and the same input always the same.
func Merge(in Input) Decision {
	if in.OS == nil {
		return Decision{Verdict: VerdictMissing, Reason: reasonGoneOS, Store: in.Store, Baseline: in.Baseline}
	}
	if in.Fault != nil {
		return mergeWithoutStore(in)
	}
	if in.Store == nil && !in.Policy.Create {
		in.Fault = &StoreFault{Reason: reasonGoneStore, missing: true}
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
	if in.Fault.missing {
		d.Verdict, d.Reason, d.Store, d.Baseline = VerdictMissing, in.Fault.Reason, nil, in.Baseline
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
	case f.missing:
		return VerdictMissing
	case f.Malformed:
		return VerdictConflict
	}
	return VerdictPending
}

// mergeFirst takes the first pair, or asks which side is right.
func mergeFirst(in Input) Decision {
	m := newMerger(in)
	side := in.Policy.First
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

// merger works on one account: os and store are the sides as they count after
// the judgements over the whole entry, base becomes the new merge base unit by unit.
type merger struct {
	in        Input
	os, store Credential
	old, base Baseline
	held      Fields
	verdict   Verdict
	reason    string
	wroteBack bool
}

func newMerger(in Input) *merger {
	m := &merger{in: in, os: *in.OS, verdict: VerdictNothing}
	if in.Store != nil {
		m.store = *in.Store
	}
	if in.Baseline != nil {
		m.old = *in.Baseline
		if m.landed() {
			m.old = Baseline{OS: in.Open.OS, Store: m.store}
		}
		m.base = m.old
	}
	return m
}

// landed tells whether a write of our own reached the store although it could not
// be acknowledged: the process was killed, or the OS moved on meanwhile. That pair
// belongs together; it is nobody's new wish on the store's side.
func (m *merger) landed() bool {
	o := m.in.Open
	if o == nil || m.in.Store == nil || !o.Verdict.toStore() || o.OS.Hash == m.os.Hash || m.store.Hash == m.old.Store.Hash {
		return false
	}
	return m.store.Hash == cmp.Or(o.StoreHash, o.OS.Hash)
}

func (m *merger) decide() Decision {
	if !m.preferred() {
		m.judgeWhole()
	}
	for _, unit := range units {
		m.decideUnit(unit)
	}
	d := Decision{Verdict: m.verdict, Reason: m.reason, Baseline: &m.base, WroteBack: m.wroteBack}
	os := m.base.OS.With(m.os, m.held)
	store := m.base.Store.With(*m.in.Store, m.held)
	d.OS, d.Store = &os, &store
	return d
}

// name raises the decision's verdict; the reason follows the strongest.
func (m *merger) name(v Verdict, reason string) {
	if strength[v] > strength[m.verdict] {
		m.verdict, m.reason = v, reason
	}
}

// hold leaves a unit apart on both sides.
func (m *merger) hold(unit Fields, v Verdict, reason string) {
	m.held |= unit
	m.name(v, reason)
}

// wanted is the OS value last known to be wanted: a change that the store has
// not taken yet counts before the baseline.
func (m *merger) wanted() Credential {
	if o := m.in.Open; o != nil && o.Verdict != VerdictApply && o.OS.Hash != "" {
		return o.OS
	}
	return m.old.OS
}

// preferred tells whether a person decided this very account's conflict.
func (m *merger) preferred() bool {
	return m.in.Evidence.Prefer != Neither && m.in.Open != nil && m.in.Open.State == Conflict
}

// judgeWhole recognises the three cases in which an entry as a whole is an old
// memory and not somebody's wish: a rollback, an application that wrote its
// memory over the OS, and one that wrote it over its store.
func (m *merger) judgeWhole() {
	if m.rolledBack() {
		m.settleRollback()
		return
	}
	if m.undone() {
		m.os = m.os.With(m.wanted(), touchedByUsermod)
		m.writeBack("the application wrote its old value over the OS")
	}
	if m.storeUndone() {
		m.store = m.old.Store
		m.writeBack("the application wrote its old value over the store")
	}
}

func (m *merger) writeBack(reason string) {
	m.wroteBack = true
	m.name(VerdictAdoptAgain, reason)
}

// storeUndone tells whether the store returned to something it held before: the
// whole record, or the password alone. Units beside an old password are old too.
func (m *merger) storeUndone() bool {
	if !m.storeMoved(m.in.Fields) || m.agree(m.in.Fields) || m.in.StoreLed && m.in.Open == nil {
		return false
	}
	whole := m.in.Record.holdsStore(m.store, m.in.Fields) || m.in.Past.holdsStore(m.store, m.in.Fields)
	return whole || m.storeMoved(FieldHash) && m.knew(m.store)
}

func (m *merger) rolledBack() bool {
	e := m.in.Evidence
	if !e.AtBoot || !e.WentBack || !m.osMoved(AllFields) || !m.in.Record.holdsOS(m.os) {
		return false
	}
	return !m.storeMoved(m.in.Fields) || m.in.Record.holdsStore(m.store, m.in.Fields)
}

func (m *merger) settleRollback() {
	switch m.in.Policy.Rollback {
	case RuleOS:
		m.name(VerdictRollback, reasonRollback+"; the older OS value holds")
	case RuleHold:
		m.hold(AllFields, VerdictConflict, reasonRollback)
	default:
		m.os, m.store = m.wanted(), m.old.Store
		m.name(VerdictRollback, reasonRollback+"; the newer value holds")
	}
}

// touchedByUsermod is what usermod -p and chpasswd -e change, which is how
// appliances write the OS side: hash, lock mark and last-change day.
const touchedByUsermod = FieldsPassword | FieldLocked

// undone tells whether the application itself put an old value back on the OS
// side, as appliances do when they start. Where the kernel did not tell who wrote,
// it must be the very value that the application's store gave it.
func (m *merger) undone() bool {
	ref := m.wanted()
	if Equal(m.os, ref, touchedByUsermod) || m.announced() || !m.oldMemory(ref) {
		return false
	}
	// What asks for a new password now (passwd -e) is somebody's wish.
	if m.os.MustChange && !ref.MustChange {
		return false
	}
	switch m.in.Evidence.Writer {
	case WriterApplication:
		return true
	case WriterUnknown:
		now := m.os.Password()
		// What the application read from a store that we cannot read, nobody knows.
		fromStore := m.in.Fault != nil || now == m.old.Store.Password() || now == m.store.Password() || now == m.in.Baseline.Store.Password()
		return fromStore && (m.in.Evidence.Settling || m.waits())
	}
	return false
}

// oldMemory tells whether the OS holds what the application may remember.
func (m *merger) oldMemory(ref Credential) bool {
	now := m.os.Password()
	switch {
	case now == ref.Password(), now == m.old.OS.Password(), m.knew(m.os), m.broughtStoreSide():
		return true
	case now == m.in.Baseline.OS.Password(): // not m.old's: a write of ours has landed since
		return true
	}
	return now == m.old.Store.Password() && ref.Hash != m.old.OS.Hash
}

// knew tells whether the account had this hash and lock mark before, on any side.
func (m *merger) knew(c Credential) bool {
	return m.in.Past.holdsPassword(c) || m.in.Record.holdsPassword(c)
}

// waits tells whether a change that PAM or one of our tools vouches for is not in the store yet.
func (m *merger) waits() bool {
	o := m.in.Open
	return o != nil && (o.State == Pending || o.State == Missing) && o.Origin.SeenBy.Proven()
}

// broughtStoreSide: the OS holds the store's side of an open conflict. An
// application that starts brings it there without anybody having decided.
func (m *merger) broughtStoreSide() bool {
	o := m.in.Open
	return o != nil && o.State == Conflict && m.os.Hash == m.store.Hash
}

// announced tells whether PAM or one of our tools vouches for the present OS value.
func (m *merger) announced() bool {
	o := m.in.Open
	return o != nil && o.State == Queued && o.Origin.SeenBy.Proven() && o.OS.Hash == m.in.OS.Hash
}

// proven is announced, also for a change that could not be settled at once.
func (m *merger) proven() bool {
	o := m.in.Open
	return o != nil && o.Origin.SeenBy.Proven() && o.OS.Hash == m.os.Hash
}

func (m *merger) osMoved(unit Fields) bool { return !Equal(m.os, m.old.OS, unit) }
func (m *merger) storeMoved(unit Fields) bool {
	return !Equal(m.store, m.old.Store, unit&m.in.Fields)
}

func (m *merger) decideUnit(unit Fields) {
	if m.held&unit != 0 {
		return
	}
	osMoved, storeMoved := m.osMoved(unit), m.storeMoved(unit)
	switch {
	case !osMoved && !storeMoved:
	case osMoved && storeMoved && m.agree(unit):
		m.base.OS, m.base.Store = m.base.OS.With(m.os, unit), m.base.Store.With(m.store, unit)
		m.name(VerdictAgree, "")
	case m.contested(osMoved, storeMoved):
		m.settle(unit)
	case osMoved:
		m.tryAdopt(unit)
	default:
		m.tryApply(unit)
	}
}

// agree tells whether both sides hold the same value, possibly as a known pair of formats.
func (m *merger) agree(unit Fields) bool {
	shared := unit & m.in.Fields
	if shared&FieldHash != 0 {
		want, ok := m.storeHash(m.os.Hash)
		if !ok || want != m.store.Hash {
			return false
		}
		shared &^= FieldHash
	}
	return Equal(m.os, m.store, shared)
}

// contested tells whether a unit needs a rule or a person.
func (m *merger) contested(osMoved, storeMoved bool) bool {
	return osMoved && storeMoved || m.preferred() || storeMoved && m.in.Evidence.Prefer == OSSide
}

func (m *merger) settle(unit Fields) {
	switch m.winner() {
	case OSSide:
		m.tryAdopt(unit)
	case StoreSide:
		m.tryApply(unit)
	default:
		m.hold(unit, VerdictConflict, reasonBothChanged)
	}
}

func (m *merger) winner() Side {
	if m.in.Evidence.Prefer != Neither {
		return m.in.Evidence.Prefer
	}
	switch m.in.Policy.Conflict {
	case RuleOS:
		return OSSide
	case RuleStore:
		return StoreSide
	case RuleNewest:
		return m.newest()
	case RuleDefault:
		if m.proven() {
			return OSSide
		}
	}
	return Neither
}

// newest compares times of this very account, where both sides have one finer
// than a day: the announcement's, and the store's own. Shadow's day is no time,
// and a file's mtime is not an account's.
func (m *merger) newest() Side {
	if !m.proven() || m.in.Evidence.StoreAt.IsZero() {
		return Neither
	}
	if m.in.Evidence.StoreAt.After(m.in.Open.Origin.At) {
		return StoreSide
	}
	return OSSide
}

func (m *merger) tryAdopt(unit Fields) {
	if why := m.cannotAdopt(unit); why.text != "" {
		if m.in.Evidence.Prefer == StoreSide && m.in.Refusal == "" {
			m.tryApply(unit)
			return
		}
		m.hold(unit, why.verdict, why.text)
		return
	}
	m.adopt(unit)
	if Equal(m.base.Store, m.old.Store, unit&m.in.Fields) {
		m.name(VerdictAgree, "")
		return
	}
	m.name(VerdictAdopt, "")
}

type refusal struct {
	verdict Verdict
	text    string
}

// cannotAdopt is why the OS value of a unit cannot go into the store.
func (m *merger) cannotAdopt(unit Fields) refusal {
	if unit&FieldHash == 0 {
		return refusal{}
	}
	if m.os.Hash == "" {
		return refusal{VerdictConflict, reasonDeleted}
	}
	if o := m.in.Open; o != nil && o.Verdict == VerdictRefused && o.OS.Hash == m.os.Hash && m.in.Evidence.Prefer != OSSide {
		return refusal{VerdictRefused, o.Reason}
	}
	if _, ok := m.storeHash(m.os.Hash); !ok {
		return refusal{VerdictNeedsLogin, reasonNeedsLogin}
	}
	return refusal{}
}

// adopt takes a unit from the OS side.
func (m *merger) adopt(unit Fields) {
	m.base.OS = m.base.OS.With(m.os, unit)
	m.base.Store = m.base.Store.With(m.os, unit&m.in.Fields)
	if hash, ok := m.storeHash(m.os.Hash); ok && unit&m.in.Fields&FieldHash != 0 {
		m.base.Store.Hash = hash
	}
}

// storeHash is what the store holds for an OS hash: the partner in a known pair,
// else the hash itself if the store's application can verify it.
func (m *merger) storeHash(osHash string) (string, bool) {
	if m.in.Baseline != nil && osHash == m.old.OS.Hash {
		return m.old.Store.Hash, true
	}
	if o := m.in.Open; o != nil && o.StoreHash != "" && o.OS.Hash == osHash {
		return o.StoreHash, true
	}
	if m.in.Formats.Accept(osHash) {
		return osHash, true
	}
	for _, e := range m.in.Record {
		if e.OS.Hash == osHash && e.Store.Hash != "" && m.in.Formats.Accept(e.Store.Hash) {
			return e.Store.Hash, true
		}
	}
	return "", false
}

func (m *merger) tryApply(unit Fields) {
	if m.in.Refusal != "" {
		if m.in.Evidence.Prefer == OSSide && m.cannotAdopt(unit).text == "" {
			m.tryAdopt(unit)
			return
		}
		m.hold(unit, VerdictConflict, m.in.Refusal)
		return
	}
	m.apply(unit)
	m.name(VerdictApply, "")
}

// apply takes a unit from the store side. A store that holds no last-change day
// gives a new hash today's, as passwd(1) would.
func (m *merger) apply(unit Fields) {
	before := m.base.OS.Hash
	shared := unit & m.in.Fields
	m.base.Store = m.base.Store.With(m.store, shared)
	m.base.OS = m.base.OS.With(m.os, unit&^m.in.Fields).With(m.store, shared)
	if shared&FieldHash == 0 {
		return
	}
	if m.in.Baseline != nil && m.store.Hash == m.old.Store.Hash {
		m.base.OS.Hash = m.old.OS.Hash
	}
	if m.base.OS.Hash == before {
		return
	}
	if m.in.Fields&FieldLastChange == 0 {
		m.base.OS.LastChange = m.in.Today
	}
	if m.in.Fields&FieldMustChange == 0 {
		m.base.OS.MustChange = false
	}
}
