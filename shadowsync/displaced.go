package shadowsync

import "time"

// past returns what the application may remember once the baseline has moved, or its store was
// written over.
func (it *item) past() Past {
	in, next := it.in, it.decision.Baseline
	if next == nil {
		return nil
	}
	replaces, past := it.replacesStore(), it.doubted()
	if in.Baseline != nil && *in.Baseline == *next && !replaces && !it.decision.WroteBack {
		return past
	}
	switch {
	case in.Baseline != nil:
		past = append(past, remembers(*in.Baseline, in.Fields)...)
		if in.Baseline.OS.Hash != next.OS.Hash {
			past = append(past, in.Past.outlived()...)
		}
	case in.Store != nil && !Equal(*in.Store, next.Store, in.Fields):
		past = append(past, remembers(it.lostStore(*in.Store), in.Fields)...)
	}
	if replaces {
		past = append(append(past, storeDigest(*in.Store, in.Fields)), it.overtaken...)
	}
	return past
}

// doubted is what is to be remembered of an opaque value that stays in the store although nothing shows to
// which password it belongs. The application may replace it, and write it back after a new password.
func (it *item) doubted() Past {
	in := it.in
	if !in.Opaque || in.Fault != nil || in.Store == nil || in.Store.Hash == "" || it.replacesStore() || in.Store.Hash == it.decision.Baseline.Store.Hash {
		return nil
	}
	d := storeDigest(*in.Store, in.Fields)
	if in.Past.doubts(d) || in.Past.holds(d) {
		return nil
	}
	return Past{doubted + d}
}

// displaced returns the values that the decision replaces, so that each can be put back.
func (it *item) displaced(now time.Time) []Entry {
	in, next := it.in, it.decision.Baseline
	if next == nil {
		return nil
	}
	const weight = FieldHash | FieldLocked
	old := it.before()
	var out []Entry
	add := func(b Baseline, lost bool) {
		if !it.onRecord(b) {
			out = append(out, Entry{Baseline: b, Origin: it.origin, Replaced: now, Lost: lost, Next: nextOf(next.OS)})
		}
	}
	d := it.decision
	gone := func(c, was, will Credential) bool {
		stays := func(side *Credential) bool { return side != nil && side.Password() == c.Password() }
		return !in.Past.holdsFormer(c) && !Equal(c, was, weight) && !Equal(c, will, weight) && !stays(d.OS) && !stays(d.Store)
	}
	if in.OS != nil && in.OS.worth() && gone(*in.OS, old.OS, next.OS) {
		add(it.lostOS(*in.OS), true)
	}
	if o := in.Open; o != nil && o.OS.worth() && gone(o.OS, old.OS, next.OS) && (in.OS == nil || o.OS.Hash != in.OS.Hash) {
		add(it.lostOS(o.OS), true)
	}
	if in.Store != nil && in.Fault == nil && in.storeWorth() && gone(*in.Store, old.Store, next.Store) {
		add(it.lostStore(*in.Store), true)
	}
	if in.Baseline != nil && (!Equal(old.OS, next.OS, weight) || !Equal(old.Store, next.Store, weight)) {
		add(old, false)
	}
	return out
}

// storeWorth reports whether the store's value is worth keeping: see worth.
func (in Input) storeWorth() bool {
	if in.Opaque {
		return in.Store.Hash != ""
	}
	return in.Store.worth()
}

// before returns the baseline, or a pair without a password if there is none.
func (it *item) before() Baseline {
	if it.in.Baseline != nil {
		return *it.in.Baseline
	}
	return Baseline{OS: NoAgeing(), Store: Credential{}.With(NoAgeing(), it.in.Fields)}
}

// lostOS is the history's pair for an OS value that lost. A hash that the application cannot verify
// is not used for the store.
func (it *item) lostOS(c Credential) Baseline {
	b := Baseline{OS: c, Store: it.before().Store.With(c, it.in.Fields)}
	if !it.in.takes(c.Hash) {
		b.Store.Hash = ""
		if o := it.in.Open; o != nil && o.OS.Hash == c.Hash {
			b.Store.Hash = o.StoreHash
		}
	}
	return b
}

// lostStore is the history's pair for a store value that lost. A value that may not reach the OS
// must not reach it through the history either: an opaque one never may.
func (it *item) lostStore(c Credential) Baseline {
	b := Baseline{OS: it.before().OS.With(c, it.in.Fields), Store: c}
	if it.in.Refusal != "" || it.in.Opaque {
		b.OS.Hash = ""
	}
	return b
}

// onRecord reports whether the history has a pair already. One that differs only in the account's
// expiry is another pair: unlock puts back what the lock replaced.
func (it *item) onRecord(b Baseline) bool {
	const weight = FieldHash | FieldLocked | FieldExpire
	for _, e := range it.in.Record {
		if Equal(e.OS, b.OS, weight) && Equal(e.Store, b.Store, weight) {
			return true
		}
	}
	return false
}
