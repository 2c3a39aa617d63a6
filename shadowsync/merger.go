package shadowsync

import "cmp"

// merger works on one account. os and store are the sides' values after the decisions over the
// whole entry; base becomes the new merge base, unit by unit.
type merger struct {
	in        Input
	os, store Credential
	old, base Baseline
	held      Fields
	joined    Fields // decided together with another unit
	verdict   Verdict
	reason    string
	wroteBack bool
	awaits    bool
}

func newMerger(in Input) *merger {
	m := &merger{in: in, os: *in.OS, verdict: VerdictNothing}
	if in.Store != nil {
		m.store = *in.Store
		m.in.Refusal = cmp.Or(in.Refusal, worthless(in))
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

// landed reports whether our own write reached the store but could not be acknowledged: the process
// was killed, or the OS changed meanwhile. The written pair belongs together; the store's part is
// not a new wish.
func (m *merger) landed() bool {
	o := m.in.Open
	switch {
	case o == nil || m.in.Store == nil || !o.Verdict.toStore():
		return false
	case o.OS.Hash == m.os.Hash:
		return m.landedBeside(o.OS)
	}
	return m.store.Hash != m.old.Store.Hash && m.store.Hash == cmp.Or(o.StoreHash, o.OS.Hash)
}

// landedBeside is landed for a write that left the password as it was, such as passwd -l right before
// passwd -u.
func (m *merger) landedBeside(wrote Credential) bool {
	beside := m.in.Fields &^ FieldHash
	return wrote.Hash == m.old.OS.Hash && m.store.Hash == m.old.Store.Hash && !Equal(m.os, wrote, beside) &&
		!Equal(m.store, m.old.Store, beside) && Equal(m.store, m.old.Store.With(wrote, beside), beside)
}

func (m *merger) decide() Decision {
	if !m.preferred() {
		m.decideWhole()
	}
	for _, unit := range units {
		m.decideUnit(unit)
	}
	if m.verdict.State() == InSync {
		m.takeLent()
		if m.base.OS.Hash == m.old.OS.Hash {
			m.renew()
		}
	}
	d := Decision{Verdict: m.verdict, Reason: m.reason, Baseline: &m.base, Awaits: m.awaits, WroteBack: m.wroteBack}
	os := m.base.OS.With(m.os, m.held)
	store := m.base.Store.With(m.store, m.held)
	d.OS, d.Store = &os, &store
	return d
}

// name raises the decision's verdict to v if v is stronger, and takes its reason.
func (m *merger) name(v Verdict, reason string) {
	if strength[v] > strength[m.verdict] {
		m.verdict, m.reason = v, reason
	}
}

// hold leaves a unit as it is on both sides.
func (m *merger) hold(unit Fields, v Verdict, reason string) {
	m.held |= m.join(unit, m.os) | m.join(unit, m.store)
	m.name(v, reason)
}

// wanted is the OS value last known to be wanted: an open change counts before the baseline. A
// value that a rollback brought was not wanted.
func (m *merger) wanted() Credential {
	if o := m.in.Open; o != nil && o.Verdict != VerdictApply && o.OS.Hash != "" && !o.heldBack() {
		return o.OS
	}
	return m.old.OS
}

// preferred reports whether an administrator decided this account's conflict.
func (m *merger) preferred() bool {
	return m.in.Evidence.Prefer != Neither && m.in.Open != nil && m.in.Open.State == Conflict
}

func (m *merger) osMoved(unit Fields) bool { return !Equal(m.os, m.old.OS, unit) }
func (m *merger) storeMoved(unit Fields) bool {
	return !Equal(m.store, m.old.Store, unit&m.in.Fields)
}

func (m *merger) decideUnit(unit Fields) {
	if (m.held|m.joined)&unit != 0 {
		return
	}
	if m.in.Opaque && unit&FieldHash != 0 {
		m.decideOpaque(unit)
		return
	}
	osMoved, storeMoved := m.osMoved(unit), m.storeMoved(unit)
	switch {
	case !osMoved && !storeMoved:
	case storeMoved && m.agree(unit): // if only the store moved, it took a renewed hash
		m.base.OS, m.base.Store = m.base.OS.With(m.os, unit), m.base.Store.With(m.store, unit)
		m.name(VerdictAgree, "")
	case m.contested(osMoved, storeMoved):
		m.settle(unit, reasonBothChanged)
	case m.storeDoubtful(unit):
		m.settle(unit, reasonPastUnknown)
	case osMoved:
		m.tryAdopt(unit)
	default:
		m.tryApply(unit)
	}
}

// renew handles an unmoved pair whose store hash the application cannot verify: the store takes the
// hash that a login gave, or the pair waits for a login.
func (m *merger) renew() {
	if m.in.Opaque || m.in.Fields&FieldHash == 0 || m.in.Formats.Accept(m.base.Store.Hash) {
		return
	}
	hash, ok := m.storeHash(m.base.OS.Hash)
	switch {
	case ok && m.in.Formats.Accept(hash) && m.in.Fault == nil:
		m.base.Store.Hash = hash
		m.name(VerdictRenew, "")
	case m.verdict == VerdictNothing:
		m.name(VerdictNeedsLogin, reasonForeign)
	default:
		m.awaits = true
	}
}

// agree reports whether both sides hold the same value, or a known pair of formats.
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

// contested reports whether a unit needs a rule or an administrator's decision.
func (m *merger) contested(osMoved, storeMoved bool) bool {
	return osMoved && storeMoved || m.preferred() || storeMoved && m.in.Evidence.Prefer == OSSide
}

func (m *merger) settle(unit Fields, undecided string) {
	switch m.winner() {
	case OSSide:
		m.tryAdopt(unit)
	case StoreSide:
		m.tryApply(unit)
	default:
		m.hold(unit, VerdictConflict, undecided)
	}
}

// winner says which side holds what both have moved: an administrator's choice, or else the rule of
// the configuration. By default an announced change on the OS side wins, and of others a person
// decides.
func (m *merger) winner() Side {
	if m.in.Evidence.Prefer != Neither {
		return m.in.Evidence.Prefer
	}
	if m.in.Opaque { // the store's value can go nowhere
		return OSSide
	}
	switch m.in.Policy.Conflict {
	case RuleOS:
		return OSSide
	case RuleStore:
		return StoreSide
	case RuleNewest:
		return m.newest()
	case RuleDefault:
		if m.wasAnnounced() || m.in.Announced && m.in.PastUnknown && !m.osMoved(AllFields) {
			return OSSide
		}
	}
	return Neither
}

// newest compares the change times of this account if both sides have one finer than a day: that of
// the announcement, and the store's own. Shadow's last-change day is too coarse, and a file's mtime
// is not an account's.
func (m *merger) newest() Side {
	if !m.wasAnnounced() || m.in.Evidence.StoreAt.IsZero() {
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

// cannotAdopt says why the OS value of a unit cannot go into the store. Without a hash, only the
// lock mark keeps the account shut, so the two are checked together.
func (m *merger) cannotAdopt(unit Fields) refusal {
	if unit&(FieldHash|FieldLocked) == 0 {
		return refusal{}
	}
	switch m.os.Kind() {
	case KindOpen:
		return refusal{VerdictConflict, reasonEmpty}
	case KindShut:
		if m.in.Fields&FieldLocked == 0 {
			return refusal{VerdictConflict, reasonLockedOnly}
		}
	}
	if unit&FieldHash == 0 {
		return refusal{}
	}
	switch m.os.Kind() {
	case KindElsewhere:
		return refusal{VerdictConflict, reasonElsewhere}
	case KindNone:
		if m.in.Opaque {
			return refusal{VerdictConflict, reasonNoHash}
		}
	}
	if o := m.in.Open; o != nil && o.Verdict == VerdictRefused && o.OS.Hash == m.os.Hash && m.in.Evidence.Prefer != OSSide {
		return refusal{VerdictRefused, o.Reason}
	}
	if _, ok := m.storeHash(m.os.Hash); !ok {
		return refusal{VerdictNeedsLogin, reasonNeedsLogin}
	}
	return refusal{}
}

// join adds the lock mark to a unit with an empty hash: only the mark keeps that account shut.
func (m *merger) join(unit Fields, side Credential) Fields {
	if unit&FieldHash == 0 || side.Kind() != KindShut {
		return unit
	}
	m.joined |= FieldLocked
	return unit | FieldLocked
}

// adopt takes a unit's value from the OS side.
func (m *merger) adopt(unit Fields) {
	unit = m.join(unit, m.os)
	m.base.OS = m.base.OS.With(m.os, unit)
	m.base.Store = m.base.Store.With(m.os, unit&m.in.Fields)
	if hash, ok := m.storeHash(m.os.Hash); ok && unit&m.in.Fields&FieldHash != 0 {
		m.base.Store.Hash = hash
	}
}

// storeHash returns the store's hash for an OS hash: another store's, the one that a login gave, then the
// pair's last known to belong together, then the hash itself if the store's application can verify it, then the
// recorded baseline's, then the record's.
func (m *merger) storeHash(osHash string) (string, bool) {
	if m.in.Lent != "" && osHash == m.in.OS.Hash {
		return m.in.Lent, true
	}
	if o := m.in.Open; o != nil && o.StoreHash != "" && o.OS.Hash == osHash {
		return o.StoreHash, true
	}
	if m.in.Baseline != nil && osHash == m.old.OS.Hash && m.paired() {
		return m.old.Store.Hash, true
	}
	if m.in.takes(osHash) {
		return osHash, true
	}
	if b := m.in.Baseline; b != nil && osHash == b.OS.Hash && b.Store.Hash != "" { // m.old is another pair if our own write has landed since
		return b.Store.Hash, true
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

// apply takes a unit's value from the store side. If the store holds no last-change day, a new hash
// gets today's, as with passwd(1).
func (m *merger) apply(unit Fields) {
	unit = m.join(unit, m.store)
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
