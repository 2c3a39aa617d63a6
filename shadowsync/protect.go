package shadowsync

import (
	"context"
	"reflect"
	"time"
)

// Protection says why a store may not change an account's OS side; empty: it may.
type Protection struct {
	Why   string // "uid 0", "member of sudo"
	Later bool   // there was no time to find out
}

// protect checks the accounts that a store is about to change, and decides again for those that it
// may not change. It checks no others, because a check may take a process per account while
// somebody waits for passwd.
func (r *Reconciler) protect(ctx context.Context, items []*item) {
	if r.Protected == nil || r.Application.TrustStore {
		return
	}
	var led, held []string
	for _, it := range items {
		switch {
		case it.later:
		case it.restsOnStore():
			led = append(led, it.name)
		case it.decision.Verdict == VerdictConflict && it.in.Refusal == "":
			held = append(held, it.name)
		}
	}
	if len(led)+len(held) == 0 {
		return
	}
	protected := r.Protected(ctx, led, held)
	for _, it := range items {
		if p := protected[it.name]; p.Why != "" && !it.later && it.in.Refusal == "" && it.in.Store != nil && it.in.Fault == nil {
			refused := it.refused("the store may not change this account: " + p.Why)
			refused.later = p.Later && !reflect.DeepEqual(refused.decision, it.decision)
			*it = refused
		}
	}
}

// restsOnStore reports whether the decision would differ if the store could not change the account.
// For a change that PAM or our tools announced and that wins, the answer does not matter: the
// change must not wait for it while the store moves on.
func (it *item) restsOnStore() bool {
	if o := it.in.Open; o != nil && o.Vouches() && it.in.OS != nil && it.decision.OS != nil &&
		o.OS.Hash == it.in.OS.Hash && Equal(*it.decision.OS, *it.in.OS, AllFields) {
		return false
	}
	if it.in.Refusal != "" || it.in.Store == nil || it.in.Fault != nil || it.settled() {
		return false
	}
	refused := it.refused("?")
	return !reflect.DeepEqual(it.outcome(), refused.outcome())
}

// refused returns the item as decided if the store may not change the account, for the given
// reason.
func (it *item) refused(why string) item {
	other := *it
	other.in.Refusal = why
	other.decision = Merge(other.in)
	other.pair = pairOf(other.in, other.decision)
	return other
}

// outcome returns everything about an item that a refusal may change.
func (it *item) outcome() any {
	return struct {
		Decision
		displaced []Entry
	}{it.decision, it.displaced(time.Time{})}
}
