package shadowsync

// lends returns the value that the store with this memory has for an OS hash, or that was made for it;
// empty: none is known.
func (m AccountMemory) lends(osHash string) string {
	if o := m.Open; o != nil && o.StoreHash != "" && o.OS.Hash == osHash {
		return o.StoreHash
	}
	if b := m.Baseline; b != nil && m.Open == nil && b.OS.Hash == osHash {
		return b.Store.Hash
	}
	return ""
}

// firstLent takes the first pair of a store that has another one's values: its own say nothing.
func (m *merger) firstLent() Decision {
	if m.in.Store.Hash == m.in.Lent && Equal(m.os, *m.in.Store, m.in.Fields&^FieldHash) {
		m.base = Baseline{OS: m.os, Store: *m.in.Store}
		return m.first(VerdictBaseline)
	}
	return m.firstAdopt()
}

// takeLent gives a store that is in sync the lent value for the OS's password.
func (m *merger) takeLent() {
	lent := m.in.Lent
	if lent == "" || m.in.Fault != nil || m.in.Fields&FieldHash == 0 || m.base.OS.Hash != m.in.OS.Hash || m.base.Store.Hash == lent {
		return
	}
	m.base.Store.Hash = lent
	m.name(VerdictRenew, "")
}
