package shadowsync

import (
	"strings"
	"time"
)

// item is one account during a reconcile.
type item struct {
	name     string
	in       Input
	decision Decision
	origin   Origin
	open     *Change // the recorded change: as read, or as journalled since
	// pair is the store's hash for the OS hash, if it is another format of the same password.
	pair string
	// person says whose account it is; successor: it belonged to another person before.
	person    string
	successor bool
	// dropped: a side changed while we worked; the next round decides again.
	dropped bool
	// overtaken are digests of what the store held in the rounds before.
	overtaken Past
	// later: not now. We could not yet find out whether the store may change the account, or its
	// changes come too fast (then due is the delay).
	later bool
	due   time.Duration
	led   bool // only the store caused it
}

// settled reports whether there is nothing to do and nothing to record.
func (it *item) settled() bool {
	return it.decision.Verdict == VerdictNothing && it.in.Open == nil || it.doubtful()
}

// doubtful reports whether the item is about an opaque value, and the state records all that is known.
// The application may have re-hashed thousands of passwords.
func (it *item) doubtful() bool {
	o, d := it.in.Open, it.decision
	return o != nil && o.doubts() && o.State == d.Verdict.State() && o.Verdict == d.Verdict && o.Reason == d.Reason && o.OS == *d.OS &&
		it.in.Baseline != nil && *it.in.Baseline == *d.Baseline && !d.WroteBack && !it.writes() && len(it.past()) == 0
}

func (it *item) storeWrite() (Write, bool) {
	d := it.decision
	if it.in.Fault != nil || d.Store == nil {
		return Write{}, false
	}
	if it.in.Store == nil {
		return Write{Name: it.name, Want: *d.Store, Create: true}, true
	}
	w := Write{Name: it.name, Expect: *it.in.Store, Want: *d.Store}
	return w, !Equal(w.Expect, w.Want, it.in.Fields) || it.unsure()
}

// unsure reports whether the store shows a value that nobody has acknowledged as durable: its
// writer may have been killed before the fsync. Writing it again, unchanged, makes it durable.
func (it *item) unsure() bool {
	in := it.in
	return it.decision.Verdict == VerdictAgree && in.Baseline != nil && !Equal(*in.Store, in.Baseline.Store, in.Fields)
}

func (it *item) osWrite() (Write, bool) {
	if it.in.OS == nil || it.decision.OS == nil {
		return Write{}, false
	}
	w := Write{Name: it.name, Expect: *it.in.OS, Want: *it.decision.OS}
	return w, !Equal(w.Expect, w.Want, AllFields)
}

// writes reports whether any side will be written.
func (it *item) writes() bool {
	_, store := it.storeWrite()
	_, os := it.osWrite()
	return store || os
}

// change returns the open change that records the item while it is worked on or held.
func (it *item) change(now time.Time) Change {
	d := it.decision
	c := Change{
		Account: it.name, State: d.Verdict.State(), Reason: d.Reason, Verdict: d.Verdict,
		Origin: it.origin, Since: now,
	}
	if c.State == InSync {
		c.State = Queued
	}
	if d.OS != nil {
		c.OS = *d.OS
	}
	c.StoreHash = it.pair
	if o := it.in.Open; d.OS == nil && o != nil { // missing in the OS: keep what was wanted
		c.OS, c.StoreHash, c.Fields, c.Origin = o.OS, o.StoreHash, o.Fields, o.Origin
	}
	if o := it.in.Open; o != nil && o.OS.Hash == c.OS.Hash && !o.Since.IsZero() {
		c.Since, c.Fields = o.Since, o.Fields
	}
	return c
}

// choices returns the sides that would settle the item if an administrator chose them. A value that
// the store may not give, or that the OS does not have, is no choice.
func (it *item) choices() []Side {
	if it.decision.Verdict != VerdictConflict {
		return nil
	}
	in, open := it.in, Change{}
	if in.Open != nil {
		open = *in.Open
	}
	open.State = Conflict
	in.Open = &open
	var sides []Side
	for _, side := range []Side{OSSide, StoreSide} {
		in.Evidence.Prefer = side
		if Merge(in).Verdict.State() == InSync {
			sides = append(sides, side)
		}
	}
	return sides
}

// pairOf returns the store's hash of a decision if it differs from the OS hash.
func pairOf(in Input, d Decision) string {
	if o := in.Open; o != nil && d.OS != nil && o.OS.Hash == d.OS.Hash && o.StoreHash != "" {
		return o.StoreHash
	}
	if d.Verdict.State() != InSync || !d.Verdict.toStore() || d.Store.Hash == d.OS.Hash {
		return ""
	}
	return d.Store.Hash
}

// fail turns an item whose store write failed into one that waits or that an administrator must
// decide. The OS side stays as decided; the baseline does not move. A conflict stays a conflict:
// the write would only have repaired the store.
func (it *item) fail(v Verdict, reason string) {
	if it.decision.Verdict != VerdictConflict {
		it.decision.Verdict, it.decision.Reason = v, reason
	}
	it.decision.Store, it.decision.Baseline = it.in.Store, it.in.Baseline
}

// transition returns the changes to the account's recorded state.
func (it *item) transition(a Application, memory AccountMemory, now time.Time) Transition {
	d := it.decision
	t := Transition{Account: it.name, Seen: it.open, Baseline: d.Baseline, Displaced: it.displaced(now), WriteBack: it.wroteBack(), Past: it.past(), Person: it.person, Successor: it.successor}
	if it.successor {
		t.Past = it.in.Past.Add(t.Past)
		t.Events = append(t.Events, it.succession(a.Name, now))
	}
	if d.Verdict.State() == InSync {
		proven := it.in.Open != nil && it.in.Open.doubts() // another value of the same password
		stays := d.Verdict == VerdictRenew || d.WroteBack || it.beatsStore() || proven
		if !stays || memory.LastChange == nil || it.movesHash() {
			t.Origin = &it.origin
		}
		t.Open = it.awaited()
	} else {
		c := it.change(now)
		t.Open = &c
	}
	if it.newsworthy() {
		t.Events = append(t.Events, it.event(a.Name, now))
	}
	if it.endsSessions(a.Ending) {
		t.Logout = &Logout{Account: it.name, Keep: a.Ending.Keeps(it.origin), Origin: it.origin}
	}
	return t
}

// repeats reports whether the state records all of the transition already: open is the recorded change. Ten
// thousand accounts may wait for a login, and each look would write them again.
func (t Transition) repeats(open *Change, m AccountMemory) bool {
	return t.Open != nil && open != nil && *t.Open == *open && (t.Baseline == nil || m.Baseline != nil && *t.Baseline == *m.Baseline) &&
		t.Person == m.Person && t.Origin == nil && t.Returned == nil && t.Logout == nil && !t.WriteBack && !t.Successor &&
		len(t.Displaced) == 0 && len(t.Past) == 0 && len(t.Events) == 0
}

// awaited returns the wait for a login that goes on while something else is settled, with the hash
// that a login may have given already.
func (it *item) awaited() *Change {
	o, d := it.in.Open, it.decision
	if !d.Awaits || o == nil || o.State != NeedsLogin || o.OS.Hash != d.OS.Hash {
		return nil
	}
	still := *o
	still.OS = *d.OS
	return &still
}

// newsworthy reports whether the item belongs in the audit trail; a retry that changed nothing does
// not.
func (it *item) newsworthy() bool {
	o, d := it.in.Open, it.decision
	if d.Verdict.State() == InSync || it.wroteBack() {
		return true
	}
	return o == nil || o.State != d.Verdict.State() || o.Reason != d.Reason
}

// wroteBack reports whether the application wrote its old memory over one of the sides since the last look.
// If the store could not be repaired yet, what it holds is no news.
func (it *item) wroteBack() bool {
	o := it.in.Open
	known := it.in.Baseline != nil && o.repairs(it.in.Baseline.OS) && o.State == Pending && !it.osWasOverwritten()
	return it.decision.WroteBack && !known
}

// movedOS reports whether the OS side differs from the baseline.
func (it *item) movedOS() bool {
	in := it.in
	return in.OS != nil && (in.Baseline == nil || !Equal(*in.OS, in.Baseline.OS, AllFields))
}

// beatsStore reports whether the item's origin is a change of the store that lost: then it is not the
// origin of what both sides hold.
func (it *item) beatsStore() bool {
	return it.origin.SeenBy == SeenByStore && it.decision.Verdict != VerdictApply && it.replacesStore()
}

// replacesStore reports whether the decision writes over what the store holds.
func (it *item) replacesStore() bool {
	in, d := it.in, it.decision
	return in.Store != nil && in.Fault == nil && d.Store != nil && !Equal(*in.Store, *d.Store, in.Fields)
}

// movesHash reports whether the decision changes the baseline's hash.
func (it *item) movesHash() bool {
	in, d := it.in, it.decision
	return in.Baseline != nil && d.Baseline != nil && d.Baseline.OS.Hash != in.Baseline.OS.Hash
}

// endsSessions reports whether the item ends the sessions that the old password opened. A change of
// the password does so once, when it is first dealt with. An operator's change does so once the
// store has taken it; until then it may be taken back.
func (it *item) endsSessions(ending Ending) bool {
	in, d := it.in, it.decision
	if in.Baseline == nil || d.OS == nil || !ending.Ends(it.origin.SeenBy) || d.Verdict == VerdictMissing {
		return false
	}
	first := in.Open == nil || in.Open.State == Queued
	if it.origin.SeenBy.TakenBack() {
		first = d.Verdict.State() == InSync
	}
	return first && d.OS.Hash != in.Baseline.OS.Hash
}

func (it *item) event(application string, now time.Time) Event {
	d := it.decision
	e := Event{
		At: now, Application: application, Account: it.name, Action: string(d.Verdict),
		Result: d.Verdict.State(), Reason: d.Reason, Origin: it.origin,
	}
	if o := it.in.Open; d.Verdict == VerdictNothing && o != nil {
		e.Action = "withdrawn"
		if d.OS != nil && o.OS.Hash == d.OS.Hash && o.Verdict != "" {
			e.Action = string(o.Verdict) // a process did it, and was killed before it could record it
		}
	}
	if d.OS != nil {
		e.Winner = "os:" + HashPrefix(d.OS.Hash)
		if d.Verdict == VerdictApply {
			e.Winner = "store:" + HashPrefix(d.OS.Hash)
		}
	}
	e.Loser = it.loser()
	return e
}

// storePrefix is HashPrefix for a value of the store. The beginning of an opaque value means nothing,
// and may be the password itself.
func (in Input) storePrefix(hash string) string {
	if in.Opaque {
		return "opaque"
	}
	return HashPrefix(hash)
}

// loser names the value that a decision replaced, only by side and format.
func (it *item) loser() string {
	in, d := it.in, it.decision
	switch {
	case in.OS != nil && d.OS != nil && in.OS.Hash != d.OS.Hash:
		return "os:" + HashPrefix(in.OS.Hash)
	case in.Store != nil && d.Store != nil && in.Store.Hash != d.Store.Hash:
		return "store:" + in.storePrefix(in.Store.Hash)
	}
	return ""
}

// HashPrefix is the part of a hash that names its format ("$6$"), for people and the audit, which
// never show the hash itself.
func HashPrefix(hash string) string {
	switch {
	case hash == "":
		return "empty"
	case !strings.HasPrefix(hash, "$"):
		return "other"
	}
	if i := strings.IndexByte(hash[1:], '$'); i >= 0 && i < 16 {
		return hash[:i+2]
	}
	return "other"
}
