package shadowsync

import "time"

// unjudged reports whether an account has a new password that was not checked against the rules for
// passwords: it came as a hash, past PAM and our own tools. A password that is in the store too was
// set in the application, under its own rules.
func (r *Reconciler) unjudged(it *item) bool {
	in, d := it.in, it.decision
	if !r.Application.Judged || in.Baseline == nil || in.OS == nil || d.OS == nil {
		return false
	}
	if seen := it.origin.SeenBy; seen != SeenByWatch && seen != SeenByStart {
		return false
	}
	first := in.Open == nil || in.Open.State == Queued || in.Open.OS.Hash != in.OS.Hash
	stands := in.OS.isPassword() && in.OS.Hash != in.Baseline.OS.Hash && in.OS.Hash == d.OS.Hash
	stores := in.Open == nil && !in.Opaque && in.Store != nil && in.Fault == nil && in.Store.Hash != in.Baseline.Store.Hash
	return first && stands && !stores && (r.Vouched == nil || !r.Vouched(it.name))
}

// exemption is the audit event for a password that was not checked.
func (it *item) exemption(application string, now time.Time) Event {
	return Event{
		At: now, Application: application, Account: it.name, Action: "judged", Origin: it.origin,
		Reason: "not judged: it was set as a hash, without PAM and without shadowsync's own commands",
	}
}
