package shadowsync

// decideWhole recognises the cases in which an entry as a whole is an old value that is no longer
// wanted: a rollback, and an application that wrote its old memory over the OS or over its store.
func (m *merger) decideWhole() {
	if m.rolledBack() || m.heldBack() {
		m.settleRollback()
		return
	}
	if m.undone() {
		m.os = m.os.With(m.wanted(), touchedByUsermod)
		m.writeBack("the application wrote its old value over the OS")
	}
	switch {
	case m.storeUndone():
		m.store = m.old.Store
		m.writeBack("the application wrote its old value over the store")
	case m.storeBeaten():
		m.store = m.old.Store
		m.writeBack("the application wrote over the store what it may remember from before the state was lost")
	}
}

func (m *merger) writeBack(reason string) {
	m.wroteBack = true
	m.name(VerdictAdoptAgain, reason)
}

// storeUndone reports whether the application wrote its old memory over the store. If the record's
// password is old, its other fields count as old too.
func (m *merger) storeUndone() bool {
	if m.agree(m.in.Fields) {
		return false
	}
	return m.storeWentBack() && (!m.in.StoreLed || m.in.Open != nil) || m.rehashedOld()
}

// rehashedOld reports whether an opaque value replaced the old one of which we know that it was not
// repaired yet: whoever logged in with the old password has had it hashed anew.
func (m *merger) rehashedOld() bool {
	base := m.in.Baseline.OS
	return m.in.Opaque && m.in.Fault == nil && m.storeMoved(FieldHash) && m.in.Open.repairs(base) && Equal(m.os, base, AllFields)
}

// storeWentBack reports whether the store returned to something it held before: the whole record,
// or only the password. Without a known value there is nothing to go back from.
func (m *merger) storeWentBack() bool {
	if !m.paired() || !m.storeMoved(m.in.Fields) {
		return false
	}
	whole := m.in.Record.holdsStore(m.store, m.in.Fields) || m.in.Past.holdsStore(m.store, m.in.Fields)
	return whole || m.storeMoved(FieldHash) && m.knew(m.store)
}

// storeDoubtful reports whether the store moved to a value that the application may remember from
// before the state was lost.
func (m *merger) storeDoubtful(unit Fields) bool {
	return m.in.PastUnknown && !m.in.Opaque && (!m.in.StoreLed || m.in.Open != nil) && m.storeMoved(unit) && !m.agree(m.in.Fields)
}

// storeBeaten reports whether the store moved to such a value and must not keep it: nothing moved in
// the OS, and the rule for conflicts is for the OS.
func (m *merger) storeBeaten() bool {
	return m.storeDoubtful(m.in.Fields) && m.in.Evidence.Prefer == Neither && !m.osMoved(AllFields) && m.winner() == OSSide
}

// rolledBack decides by the OS side. An equally old store may have been on the image, or the
// application may have written it from old memory during the shutdown, when our hooks no longer
// repair that. Neither is a wish against the rollback, nor is an opaque value.
func (m *merger) rolledBack() bool {
	e := m.in.Evidence
	if !e.AtBoot || !e.WentBack || !m.osMoved(AllFields) || !m.in.Record.holdsOS(m.os) {
		return false
	}
	return m.in.Opaque || !m.storeMoved(m.in.Fields) || m.storeWentBack()
}

// heldBack reports whether the OS still holds the older value of a rollback that an administrator
// must decide about. Only the first look after the boot sees the rollback itself.
func (m *merger) heldBack() bool { return m.in.Open.heldBack() && m.os.Hash == m.in.Open.OS.Hash }

func (c *Change) heldBack() bool {
	return c != nil && c.State == Conflict && c.Reason == reasonRollback
}

// settleRollback replaces a store value that went back too by the last one known. If an
// administrator must decide, that is the alternative to the OS value.
func (m *merger) settleRollback() {
	if m.storeWentBack() {
		m.store = m.old.Store
	}
	switch m.in.Policy.Rollback {
	case RuleOS:
		m.name(VerdictRollback, reasonRollback+"; the older OS value stays")
	case RuleHold:
		m.hold(AllFields, VerdictConflict, reasonRollback)
	default:
		m.os = m.wanted()
		m.name(VerdictRollback, reasonRollback+"; the newer value stays")
	}
}

// touchedByUsermod is what usermod -p and chpasswd -e change: hash, lock mark and last-change day.
// Appliances use these tools to write the OS side.
const touchedByUsermod = FieldsPassword | FieldLocked

// undone reports whether the application itself put an old value back on the OS side, as appliances
// do when they start. If the kernel did not tell us the writer, the value must be the one that the
// application got from its store.
func (m *merger) undone() bool {
	ref := m.wanted()
	if Equal(m.os, ref, touchedByUsermod) || m.announced() || !m.oldMemory(ref) {
		return false
	}
	// A must-change mark that is set now (passwd -e) is a new wish.
	if m.os.MustChange && !ref.MustChange {
		return false
	}
	switch m.in.Evidence.Writer {
	case WriterApplication:
		return true
	case WriterUnknown:
		now := m.os.Password()
		// If we cannot read the store, we cannot know what the application read from it.
		fromStore := m.in.Fault != nil || now == m.old.Store.Password() || now == m.store.Password() || now == m.in.Baseline.Store.Password()
		return fromStore && (m.in.Evidence.Settling || m.waits())
	}
	return false
}

// oldMemory reports whether the OS holds a value that the application may remember.
func (m *merger) oldMemory(ref Credential) bool {
	now := m.os.Password()
	switch {
	case now == ref.Password(), now == m.old.OS.Password(), m.knew(m.os), m.broughtStoreSide():
		return true
	case now == m.in.Baseline.OS.Password(): // m.old differs from it if our own write has landed since
		return true
	}
	return now == m.old.Store.Password() && ref.Hash != m.old.OS.Hash
}

// knew reports whether the account had this hash and lock mark before, on either side.
func (m *merger) knew(c Credential) bool {
	return m.in.Past.holdsPassword(c) || m.in.Record.holdsPassword(c)
}

// waits reports whether the store lacks a change that PAM or one of our tools announced.
func (m *merger) waits() bool {
	o := m.in.Open
	return o != nil && (o.State == Pending || o.State == Missing) && o.Origin.SeenBy.Announced()
}

// broughtStoreSide reports whether the OS holds the store's side of an open conflict. An
// application that starts copies it there; that decides nothing.
func (m *merger) broughtStoreSide() bool {
	o := m.in.Open
	return o != nil && o.State == Conflict && m.os.Hash == m.store.Hash
}

// announced reports whether PAM or one of our tools announced the present OS value.
func (m *merger) announced() bool {
	o := m.in.Open
	return o != nil && o.State == Queued && o.Origin.SeenBy.Announced() && o.OS.Hash == m.in.OS.Hash
}

// wasAnnounced is like announced, but also true for a change that could not be settled at once.
func (m *merger) wasAnnounced() bool {
	o := m.in.Open
	return o != nil && o.Vouches() && o.OS.Hash == m.os.Hash
}
