package shadowsync

import (
	"fmt"
	"strings"
	"time"
)

// item is one account on its way through a reconcile.
type item struct {
	name     string
	in       Input
	decision Decision
	origin   Origin
	open     *Change // on record: the one that was read, or the one journalled since
	// pair is the store's hash for the OS's, where it is another format of the same password.
	pair string
	// dropped: the world moved while we worked; the next round decides anew.
	dropped bool
}

// settled tells whether there is nothing to do and nothing to put on record.
func (it *item) settled() bool {
	return it.decision.Verdict == VerdictNothing && it.in.Open == nil
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

// unsure tells whether the store shows a value that nobody has acknowledged as
// durable: its writer may have been killed before the fsync. Written once more,
// unchanged, it is.
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

// writes tells whether any side is going to be written.
func (it *item) writes() bool {
	_, store := it.storeWrite()
	_, os := it.osWrite()
	return store || os
}

// change is the open change that the item stands for while it is worked on or held.
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
	if o := it.in.Open; o != nil && o.OS.Hash == c.OS.Hash && !o.Since.IsZero() {
		c.Since, c.Fields = o.Since, o.Fields
	}
	return c
}

// choices are the sides that would settle the item if a person preferred them: what
// the store may not give, or the OS side has no value for, is no choice.
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

// pairOf is the store's hash of a decision where it is not the OS's own.
func pairOf(in Input, d Decision) string {
	if o := in.Open; o != nil && d.OS != nil && o.OS.Hash == d.OS.Hash && o.StoreHash != "" {
		return o.StoreHash
	}
	if d.Verdict.State() != InSync || !d.Verdict.toStore() || d.Store.Hash == d.OS.Hash {
		return ""
	}
	return d.Store.Hash
}

// fail turns an item whose store write did not succeed into one that waits or
// that a person decides. The OS side stays as decided; the baseline does not move.
func (it *item) fail(v Verdict, reason string) {
	it.decision.Verdict, it.decision.Reason = v, reason
	it.decision.Store, it.decision.Baseline = it.in.Store, it.in.Baseline
}

// transition is what the account's record becomes.
func (it *item) transition(a Application, memory AccountMemory, now time.Time) Transition {
	d := it.decision
	t := Transition{Account: it.name, Seen: it.open, Baseline: d.Baseline, Displaced: it.displaced(now), WriteBack: d.WroteBack, Past: it.past()}
	if d.Verdict.State() == InSync {
		if d.Verdict != VerdictRenew && !d.WroteBack || memory.LastChange == nil || it.movesHash() {
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
	if t.WriteBack && memory.WriteBacks+1 == alarmAfter {
		t.Events = append(t.Events, it.alarm(a.Name, now))
	}
	if it.endsSessions(a.Ending) {
		t.Logout = &Logout{Account: it.name, Keep: a.Ending.keeps(it.origin), Origin: it.origin}
	}
	return t
}

// awaited is the wait for a login that goes on while something else is settled, with what
// a login has given already.
func (it *item) awaited() *Change {
	o, d := it.in.Open, it.decision
	if !d.Awaits || o == nil || o.State != NeedsLogin || o.OS.Hash != d.OS.Hash {
		return nil
	}
	still := *o
	still.OS = *d.OS
	return &still
}

// newsworthy keeps a retry that changed nothing out of the audit trail.
func (it *item) newsworthy() bool {
	o, d := it.in.Open, it.decision
	if d.Verdict.State() == InSync || d.WroteBack {
		return true
	}
	return o == nil || o.State != d.Verdict.State() || o.Reason != d.Reason
}

// movedOS tells whether the OS side differs from the baseline.
func (it *item) movedOS() bool {
	in := it.in
	return in.OS != nil && (in.Baseline == nil || !Equal(*in.OS, in.Baseline.OS, AllFields))
}

// movesHash tells whether the decision leaves the baseline's hash.
func (it *item) movesHash() bool {
	in, d := it.in, it.decision
	return in.Baseline != nil && d.Baseline != nil && d.Baseline.OS.Hash != in.Baseline.OS.Hash
}

// past is what the application may remember once the baseline has moved.
func (it *item) past() Past {
	in, next := it.in, it.decision.Baseline
	if in.Baseline == nil || next == nil || *in.Baseline == *next && !it.decision.WroteBack {
		return nil
	}
	past := remembers(*in.Baseline, in.Fields)
	if d := it.decision; in.Store != nil && in.Fault == nil && d.Store != nil && !Equal(*in.Store, *d.Store, in.Fields) {
		past = append(past, storeDigest(*in.Store, in.Fields))
	}
	return past
}

// endsSessions: a change of the password ends what the old one opened, once, when
// the change is first dealt with; an operator's when the store has taken it, for it is
// taken back otherwise, and nothing was changed.
func (it *item) endsSessions(ending Ending) bool {
	in, d := it.in, it.decision
	if in.Baseline == nil || d.OS == nil || !ending.Ends(it.origin.SeenBy) || d.Verdict == VerdictMissing {
		return false
	}
	first := in.Open == nil || in.Open.State == Queued
	if it.origin.SeenBy == SeenByPcli {
		first = d.Verdict.State() == InSync
	}
	return first && d.OS.Hash != in.Baseline.OS.Hash
}

// displaced lists the values that the decision replaces, so that each can be put back.
func (it *item) displaced(now time.Time) []Entry {
	in, next := it.in, it.decision.Baseline
	if in.Baseline == nil || next == nil {
		return nil
	}
	const weight = FieldHash | FieldLocked
	old := *in.Baseline
	var out []Entry
	add := func(b Baseline, lost bool) {
		if !it.onRecord(b) {
			out = append(out, Entry{Baseline: b, Origin: it.origin, Replaced: now, Lost: lost})
		}
	}
	d := it.decision
	gone := func(c, was, will Credential) bool {
		stays := func(side *Credential) bool { return side != nil && side.Password() == c.Password() }
		return c.Hash != "" && !Equal(c, was, weight) && !Equal(c, will, weight) && !stays(d.OS) && !stays(d.Store)
	}
	if in.OS != nil && gone(*in.OS, old.OS, next.OS) {
		add(it.lostOS(*in.OS), true)
	}
	if o := in.Open; o != nil && gone(o.OS, old.OS, next.OS) && (in.OS == nil || o.OS.Hash != in.OS.Hash) {
		add(it.lostOS(o.OS), true)
	}
	if in.Store != nil && in.Fault == nil && gone(*in.Store, old.Store, next.Store) {
		add(it.lostStore(*in.Store), true)
	}
	if !Equal(old.OS, next.OS, weight) || !Equal(old.Store, next.Store, weight) {
		add(old, false)
	}
	return out
}

// lostOS is the pair of an OS value that lost. What the application could not
// verify is no partner for its store.
func (it *item) lostOS(c Credential) Baseline {
	b := Baseline{OS: c, Store: it.in.Baseline.Store.With(c, it.in.Fields)}
	if !it.in.Formats.Accept(c.Hash) {
		b.Store.Hash = ""
		if o := it.in.Open; o != nil && o.OS.Hash == c.Hash {
			b.Store.Hash = o.StoreHash
		}
	}
	return b
}

// lostStore is the pair of a store value that lost. What may not reach the OS
// does not reach it through the record either.
func (it *item) lostStore(c Credential) Baseline {
	b := Baseline{OS: it.in.Baseline.OS.With(c, it.in.Fields), Store: c}
	if it.in.Refusal != "" {
		b.OS.Hash = ""
	}
	return b
}

// onRecord tells whether a pair is known already. One that differs in the account's
// expiry alone is another: unlock puts back what the lock replaced.
func (it *item) onRecord(b Baseline) bool {
	const weight = FieldHash | FieldLocked | FieldExpire
	for _, e := range it.in.Record {
		if Equal(e.OS, b.OS, weight) && Equal(e.Store, b.Store, weight) {
			return true
		}
	}
	return false
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
			e.Action = string(o.Verdict) // done by a process that was ended before it could say so
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

func (it *item) alarm(application string, now time.Time) Event {
	return Event{
		At: now, Application: application, Account: it.name, Action: "alarm", Origin: it.origin,
		Reason: fmt.Sprintf("the application wrote its old value back %d times", alarmAfter),
	}
}

// loser names the value that a decision replaced, by side and format only.
func (it *item) loser() string {
	in, d := it.in, it.decision
	switch {
	case in.OS != nil && d.OS != nil && in.OS.Hash != d.OS.Hash:
		return "os:" + HashPrefix(in.OS.Hash)
	case in.Store != nil && d.Store != nil && in.Store.Hash != d.Store.Hash:
		return "store:" + HashPrefix(in.Store.Hash)
	}
	return ""
}

// HashPrefix is the part of a hash that names its format ("$6$"), for people
// and the audit: never the hash itself.
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
