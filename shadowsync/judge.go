package shadowsync

// judgeWhole recognises the three cases in which an entry as a whole is an old
// memory and not somebody's wish: a rollback, an application that wrote its
// memory over the OS, and one that wrote it over its store.
func (m *merger) judgeWhole() {
	if m.rolledBack() || m.heldBack() {
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

// heldBack tells whether the OS still holds the older value that a rollback brought, and
// that a person is to decide about: only the first look after the boot sees the rollback itself.
func (m *merger) heldBack() bool { return m.in.Open.heldBack() && m.os.Hash == m.in.Open.OS.Hash }

func (c *Change) heldBack() bool {
	return c != nil && c.State == Conflict && c.Reason == reasonRollback
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
	return o != nil && o.vouches() && o.OS.Hash == m.os.Hash
}
