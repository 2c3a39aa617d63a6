package shadowsync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// lendable is what is on record of the accounts of the store whose values this one holds; nil: each has its own.
type lendable map[string]AccountMemory

func (r *Reconciler) lendable(ctx context.Context, names []string) (lendable, error) {
	if r.Application.Lender == "" {
		return nil, nil
	}
	memory, err := r.State.Survey(ctx, r.Application.Lender, names)
	return memory.Accounts, err
}

// digest identifies all that lends looks at; empty: there is no such store. Revisions of the store's content
// would not do: what is known about the same content changes. It goes where a digest of the store's own
// values does, which is sealed if they are.
func (l lendable) digest() string {
	if l == nil {
		return ""
	}
	all, part := sha256.New(), make([]byte, 0, 512)
	for _, name := range slices.Sorted(maps.Keys(l)) {
		m := l[name]
		part = appendText(part[:0], name)
		if o := m.Open; o != nil {
			part = appendText(appendText(append(part, 'o'), o.OS.Hash), o.StoreHash)
		}
		if b := m.Baseline; b != nil {
			part = appendText(appendText(append(part, 'b'), b.OS.Hash), b.Store.Hash)
		}
		_, _ = all.Write(part) // a hash takes everything
	}
	return "+" + hex.EncodeToString(all.Sum(nil))
}

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
