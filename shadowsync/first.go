package shadowsync

// mergeFirst takes the first pair as the baseline, or holds it until a side is chosen.
func mergeFirst(in Input) Decision {
	m := newMerger(in)
	m.decideFirst()
	if in.Lent != "" && in.Store != nil {
		return m.firstLent()
	}
	if m.knownPair() {
		m.base = Baseline{OS: m.os, Store: *in.Store}
		return m.first(VerdictBaseline)
	}
	if in.Opaque && in.Store != nil {
		return m.firstOpaque()
	}
	if in.Store != nil && Equal(m.os, *in.Store, in.Fields) {
		m.base = Baseline{OS: m.os, Store: *in.Store}
		return m.first(VerdictBaseline)
	}
	switch m.firstSide() {
	case OSSide:
		return m.firstAdopt()
	case StoreSide:
		if m.in.Refusal != "" {
			return m.undecided(VerdictConflict, m.in.Refusal)
		}
		m.base.OS = m.os
		m.apply(AllFields)
		return m.first(VerdictApply)
	}
	return m.undecided(VerdictConflict, reasonNoBaseline)
}

// knownPair reports whether the record has both sides' present hashes as a pair, and no newer password: the
// account was in sync with them before its baseline was dropped, because the configuration named another store.
func (m *merger) knownPair() bool {
	if m.in.Store == nil || m.in.Fields&FieldHash == 0 || m.in.Store.Hash == "" || !Equal(m.os, *m.in.Store, m.in.Fields&^FieldHash) {
		return false
	}
	for _, e := range m.in.Record {
		switch {
		case e.Lost:
		case e.OS.Hash != m.os.Hash: // both sides may have gone back to what was before it
			return false
		case e.Store.Hash == m.in.Store.Hash:
			return true
		}
	}
	return false
}

// firstAdopt takes the OS side's value for both, if the store can hold it.
func (m *merger) firstAdopt() Decision {
	if why := m.cannotAdopt(AllFields); why.text != "" {
		return m.undecided(why.verdict, why.text)
	}
	m.adopt(AllFields)
	return m.first(VerdictAdopt)
}

// firstSide returns the side that wins while there is no baseline: the choice of a person or of
// setup, otherwise the account's own rule for a change that PAM or our tools announced. A
// difference alone is no reason to choose, nor is a record without a password: the application may
// shut an account out that way.
func (m *merger) firstSide() Side {
	switch in := m.in; {
	case in.Evidence.Prefer != Neither && in.Store != nil:
		return in.Evidence.Prefer
	case in.Store == nil:
		return OSSide
	case in.Policy.First != Neither:
		return in.Policy.First
	case decidedForOS(in.Open):
		return OSSide
	case m.wasAnnounced():
		return m.winner()
	}
	return Neither
}

// decideFirst is decideWhole while there is no baseline. An application that starts may copy its
// store's value over a recorded OS value that no decision has rejected; decideFirst takes that back.
func (m *merger) decideFirst() {
	o := m.in.Open
	if o == nil || o.Verdict == VerdictApply || o.OS.Kind() == KindOpen || m.announced() || m.in.Evidence.Prefer == StoreSide {
		return
	}
	if Equal(m.os, o.OS, touchedByUsermod) || m.os.Password() == o.OS.Password() || m.os.MustChange && !o.OS.MustChange {
		return
	}
	if m.in.Evidence.Writer == WriterApplication || m.in.Evidence.Writer == WriterUnknown && m.broughtFirst() {
		m.os = m.os.With(o.OS, touchedByUsermod)
		m.wroteBack = true
	}
}

// broughtFirst reports whether the OS seems to hold what the application read from its store: the
// same value or, if we cannot read the store, any value that replaced an announced change during the
// settle time.
func (m *merger) broughtFirst() bool {
	settling := m.in.Evidence.Settling
	switch f := m.in.Fault; {
	case f != nil:
		return !f.single && settling && m.waits()
	case m.in.Store == nil || m.os.Password() != m.store.Password():
		return false
	}
	return settling || m.waits()
}

// first returns the decision that sets the first baseline.
func (m *merger) first(v Verdict) Decision {
	os, store := m.base.OS, m.base.Store
	return Decision{Verdict: v, OS: &os, Store: &store, Baseline: &m.base, WroteBack: m.wroteBack}
}

// undecided leaves both sides as they are, except that it takes back what the application wrote
// over the OS.
func (m *merger) undecided(v Verdict, reason string) Decision {
	return Decision{Verdict: v, Reason: reason, OS: &m.os, Store: m.in.Store, WroteBack: m.wroteBack}
}
