package shadowsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// attributionWindow is how long after the watch noticed a change an announcement can still name its
// origin. The PAM module's announcement follows the rename within milliseconds, or within the
// module's two seconds if the machine is slow.
const attributionWindow = 10 * time.Second

// Announce records the origin of an account's present OS value before Reconcile deals with it. If
// the watch was faster and the value is settled already, Announce completes that record: it adds
// the origin, and schedules the end of sessions if the change requires it. It reports whether
// nothing is left to reconcile.
func (r *Reconciler) Announce(ctx context.Context, change Change) (settled bool, err error) {
	left, err := r.AnnounceAll(ctx, []Change{change})
	return err == nil && !left[change.Account], err
}

// AnnounceAll announces the changes of several accounts at once, at most one per account, and
// returns the accounts that may still need a reconcile.
func (r *Reconciler) AnnounceAll(ctx context.Context, changes []Change) (left map[string]bool, err error) {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Account
	}
	if left, err = r.announceAll(ctx, changes, names); err != nil {
		return left, fmt.Errorf("cannot record the change of %s: %w", listed(names), err)
	}
	return left, nil
}

func (r *Reconciler) announceAll(ctx context.Context, changes []Change, names []string) (map[string]bool, error) {
	lease, err := r.Lock.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer lease.Release()
	memory, err := r.State.Load(ctx, r.Application.Name, names)
	if err != nil {
		return nil, err
	}
	left := make(map[string]bool, len(changes))
	var open []Change
	var settled []Transition
	for _, change := range changes {
		m := memory.Accounts[change.Account]
		change.State, change.Since = Queued, change.Origin.At
		if change.Verdict == "" {
			change.Verdict = VerdictAdopt
		}
		switch {
		case m.settledAs(change):
			settled = append(settled, r.attribution(change, *m.LastChange))
			continue
		case m.stale(change):
		case m.Open != nil && m.Open.OS.Hash == change.OS.Hash && m.Open.StoreHash != "":
			change.StoreHash = m.Open.StoreHash
			fallthrough
		default:
			open = append(open, change)
		}
		left[change.Account] = true
	}
	if len(settled) > 0 {
		if err := r.State.Commit(ctx, r.Application.Name, settled); err != nil {
			return nil, err
		}
	}
	if len(open) == 0 {
		return left, nil
	}
	return left, r.journalOver(ctx, open, memory)
}

// listed names the first of several accounts and counts the others.
func listed(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

// journalOver journals changes. If a change replaces one that no store has taken yet, the replaced
// value goes to the account's history, so that it can be put back.
func (r *Reconciler) journalOver(ctx context.Context, changes []Change, memory Memory) error {
	keepFirst(changes, memory)
	keepDoubt(changes, memory)
	if err := r.State.Journal(ctx, r.Application.Name, changes); err != nil {
		return err
	}
	caps := r.Store.Capabilities()
	var replaced []Transition
	for _, c := range changes {
		m := memory.Accounts[c.Account]
		o := m.Open
		if o == nil || !o.Verdict.toStore() || o.OS.Hash == "" || o.OS.Hash == c.OS.Hash || m.Baseline != nil && o.OS.Hash == m.Baseline.OS.Hash {
			continue
		}
		before := (&item{in: Input{Baseline: m.Baseline}}).before()
		lost := Baseline{OS: o.OS, Store: before.Store.With(o.OS, caps.Fields)}
		if lost.Store.Hash = o.StoreHash; !caps.Opaque() {
			lost.Store.Hash = cmp.Or(o.StoreHash, o.OS.Hash)
		}
		entry := Entry{Baseline: lost, Origin: o.Origin, Replaced: r.Now(), Lost: true, Next: nextOf(c.OS)}
		replaced = append(replaced, Transition{Account: c.Account, Open: &c, Seen: &c, Displaced: []Entry{entry}})
	}
	if len(replaced) == 0 {
		return nil
	}
	return r.State.Commit(ctx, r.Application.Name, replaced)
}

// settledAs reports whether both sides hold the announced value already and its change was only
// noticed, not announced.
func (m AccountMemory) settledAs(change Change) bool {
	if m.Baseline == nil || m.Open != nil || m.Baseline.OS.Hash != change.OS.Hash || m.LastChange == nil {
		return false
	}
	return !m.LastChange.SeenBy.Announced() && change.Origin.At.Sub(m.LastChange.At) < attributionWindow
}

// stale reports whether a change is pending and the announced value is an older one. The
// announcement came late, or the application itself caused it: it is not a newer wish.
func (m AccountMemory) stale(change Change) bool {
	if m.Baseline == nil || m.Open == nil || m.Open.State != Pending {
		return false
	}
	return change.OS.Hash == m.Baseline.OS.Hash || m.Past.holdsPassword(change.OS) || m.Record.holdsPassword(change.OS)
}

// attribution adds the origin to a settled change that was only noticed.
func (r *Reconciler) attribution(change Change, noticed Origin) Transition {
	t := Transition{
		Account: change.Account,
		Origin:  &change.Origin,
		Events: []Event{{
			At: r.Now(), Application: r.Application.Name, Account: change.Account,
			Action: "attributed", Result: InSync, Origin: change.Origin, Winner: "os:" + HashPrefix(change.OS.Hash),
		}},
	}
	if ending := r.Application.Ending; ending.Ends(change.Origin.SeenBy) {
		t.Logout = &Logout{Account: change.Account, Keep: ending.Keeps(change.Origin.seenIn(noticed)), Origin: change.Origin}
	}
	return t
}

// seenIn returns the origin with the session that the watch saw make the same change, if that was the
// same user and no session is known: the module's note, left while no broker answered, has none.
func (o Origin) seenIn(noticed Origin) Origin {
	if o.Session == "" && o.PID == 0 && o.UID != nil && noticed.UID != nil && *o.UID == *noticed.UID {
		o.Session = noticed.Session
	}
	return o
}

// logoutPatience is how long we retry to end sessions. Later we might end sessions of another boot,
// or sessions that the new password opened.
const logoutPatience = 10 * time.Minute

// EndSessions ends the sessions that are due to end, and returns the survivors by account. It runs
// after the acknowledgement, so that nobody waits for a slow logout without knowing whether the
// password holds. If ending fails, it stays due and EndSessions returns an error. If a session must
// end later (ErrNotYet), it stays due without an error.
func (r *Reconciler) EndSessions(ctx context.Context) (map[string][]Session, error) {
	due, err := r.State.Logouts(ctx, r.Application.Name)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	names := make([]string, len(due))
	for i, l := range due {
		names[i] = l.Account
	}
	uids, err := r.Accounts.UIDs(ctx, names)
	if err != nil {
		return nil, err
	}
	due, err = r.settleIdle(ctx, due, uids)
	if err != nil {
		return nil, err
	}
	survivors := make(map[string][]Session)
	var failed []error
	for _, l := range due {
		uid, ok := uids[l.Account]
		reason := "no such account any longer"
		if ok && uid != 0 {
			var left []Session
			reason, left, err = r.endOf(ctx, Account{Name: l.Account, UID: uid}, l)
			switch {
			case errors.Is(err, ErrNotYet):
				continue
			case err != nil:
				failed = append(failed, err)
				continue
			}
			survivors[l.Account] = left
		}
		if err := r.State.LogoutsDone(ctx, r.loggedOut(l, reason)); err != nil {
			return survivors, errors.Join(append(failed, err)...)
		}
		r.probe(StepLoggedOut)
	}
	return survivors, errors.Join(failed...)
}

func (r *Reconciler) loggedOut(l Logout, reason string) LoggedOut {
	return LoggedOut{ID: l.ID, Event: Event{
		At: r.Now(), Application: r.Application.Name, Account: l.Account, Action: "logged-out", Reason: reason, Origin: l.Origin,
	}}
}

// settleIdle settles all due logouts of accounts that run nothing in one transaction, and returns
// the others.
func (r *Reconciler) settleIdle(ctx context.Context, due []Logout, uids map[string]int) ([]Logout, error) {
	if r.Occupied == nil {
		return due, nil
	}
	occupied, err := r.Occupied()
	if err != nil {
		return due, nil //nolint:nilerr // it only saves work
	}
	var idle []LoggedOut
	rest := make([]Logout, 0, len(due))
	for _, l := range due {
		if uid, ok := uids[l.Account]; ok && !occupied[uid] {
			idle = append(idle, r.loggedOut(l, LogoutReason(0, 0)))
			continue
		}
		rest = append(rest, l)
	}
	if len(idle) == 0 {
		return rest, nil
	}
	if err := r.State.LogoutsDone(ctx, idle...); err != nil {
		return rest, err
	}
	r.probe(StepLoggedOut)
	return rest, nil
}

// endOf ends one account's sessions. After logoutPatience it gives up and says so.
func (r *Reconciler) endOf(ctx context.Context, account Account, l Logout) (reason string, left []Session, err error) {
	late := r.Now().Sub(l.Origin.At) > logoutPatience
	if late {
		return "given up: the sessions could not be ended in time", nil, nil
	}
	ended, left, err := r.Sessions.End(ctx, account, l)
	if err != nil {
		return "", nil, fmt.Errorf("cannot end the sessions of %s: %w", account.Name, err)
	}
	return LogoutReason(len(ended), len(left)), left, nil
}

// LogoutReason says how many sessions ended, for the audit.
func LogoutReason(ended, left int) string {
	sessions := "sessions"
	if ended == 1 {
		sessions = "session"
	}
	return fmt.Sprintf("%d %s ended, %d survived", ended, sessions, left)
}
