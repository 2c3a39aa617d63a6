package shadowsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// attributionWindow is how long after the watch saw a change its maker may still
// come forward: PAM's word follows the rename within milliseconds, or within the
// module's two seconds if the machine is slow.
const attributionWindow = 10 * time.Second

// Announce puts on record who set the present OS value of an account, before
// Reconcile deals with it. Where the watch was faster and the value is settled
// already, the announcement completes that record: who it was, and the sessions
// that a proven change ends. It tells whether that was all: nothing is left to
// reconcile.
func (r *Reconciler) Announce(ctx context.Context, change Change) (settled bool, err error) {
	lease, err := r.Lock.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot record the change of %s: %w", change.Account, err)
	}
	defer lease.Release()
	memory, err := r.State.Load(ctx, r.Application.Name, []string{change.Account})
	if err != nil {
		return false, fmt.Errorf("cannot record the change of %s: %w", change.Account, err)
	}
	m := memory.Accounts[change.Account]
	change.State, change.Since = Queued, change.Origin.At
	if change.Verdict == "" {
		change.Verdict = VerdictAdopt
	}
	switch {
	case m.settledAs(change):
		return true, r.attribute(ctx, change)
	case m.stale(change):
		return false, nil
	case m.Open != nil && m.Open.OS.Hash == change.OS.Hash && m.Open.StoreHash != "":
		change.StoreHash = m.Open.StoreHash
	}
	return false, r.journalOver(ctx, []Change{change}, memory)
}

// journalOver puts changes on record, and those that they replace before any
// store has taken them on the accounts' record, so that they can be put back.
func (r *Reconciler) journalOver(ctx context.Context, changes []Change, memory Memory) error {
	keepFirst(changes, memory)
	if err := r.State.Journal(ctx, r.Application.Name, changes); err != nil {
		return err
	}
	var replaced []Transition
	for _, c := range changes {
		m := memory.Accounts[c.Account]
		o := m.Open
		if o == nil || m.Baseline == nil || !o.Verdict.toStore() || o.OS.Hash == "" || o.OS.Hash == c.OS.Hash || o.OS.Hash == m.Baseline.OS.Hash {
			continue
		}
		lost := Baseline{OS: o.OS, Store: m.Baseline.Store.With(o.OS, r.Store.Capabilities().Fields)}
		lost.Store.Hash = cmp.Or(o.StoreHash, o.OS.Hash)
		entry := Entry{Baseline: lost, Origin: o.Origin, Replaced: r.Now(), Lost: true}
		replaced = append(replaced, Transition{Account: c.Account, Open: &c, Seen: &c, Displaced: []Entry{entry}})
	}
	if len(replaced) == 0 {
		return nil
	}
	return r.State.Commit(ctx, r.Application.Name, replaced)
}

// settledAs: both sides hold the announced value already, and it was merely noticed.
func (m AccountMemory) settledAs(change Change) bool {
	if m.Baseline == nil || m.Open != nil || m.Baseline.OS.Hash != change.OS.Hash || m.LastChange == nil {
		return false
	}
	return !m.LastChange.SeenBy.Proven() && change.Origin.At.Sub(m.LastChange.At) < attributionWindow
}

// stale: a change waits for the store, and the OS holds an older value again. What
// announced that one came late, or was the application itself: it is no newer wish.
func (m AccountMemory) stale(change Change) bool {
	if m.Baseline == nil || m.Open == nil || m.Open.State != Pending {
		return false
	}
	return change.OS.Hash == m.Baseline.OS.Hash || m.Past.holdsPassword(change.OS) || m.Record.holdsPassword(change.OS)
}

func (r *Reconciler) attribute(ctx context.Context, change Change) error {
	t := Transition{
		Account: change.Account,
		Origin:  &change.Origin,
		Events: []Event{{
			At: r.Now(), Application: r.Application.Name, Account: change.Account,
			Action: "attributed", Result: InSync, Origin: change.Origin, Winner: "os:" + HashPrefix(change.OS.Hash),
		}},
	}
	if ending := r.Application.Ending; ending.Ends(change.Origin.SeenBy) {
		t.Logout = &Logout{Account: change.Account, Keep: ending.keeps(change.Origin), Origin: change.Origin}
	}
	return r.State.Commit(ctx, r.Application.Name, []Transition{t})
}

// logoutPatience is how long an end of sessions is tried again. Later ones would
// meet the sessions of another boot, or those that the new password opened.
const logoutPatience = 10 * time.Minute

// EndSessions ends the sessions that are due, and returns the survivors by
// account. It runs after the acknowledgement: nobody waits for a slow logout
// with a password in doubt. What could not be tried stays due, and is an error; what
// ends later stays due, and is none.
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

// settleIdle settles the ends that have nothing to end, all at once, and returns the others.
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
			idle = append(idle, r.loggedOut(l, logoutReason(0, 0)))
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

// endOf ends one account's sessions. After its patience it gives up and says so.
func (r *Reconciler) endOf(ctx context.Context, account Account, l Logout) (reason string, left []Session, err error) {
	late := r.Now().Sub(l.Origin.At) > logoutPatience
	if late {
		return "given up: not possible in time", nil, nil
	}
	ended, left, err := r.Sessions.End(ctx, account, l)
	if err != nil {
		return "", nil, fmt.Errorf("cannot end the sessions of %s: %w", account.Name, err)
	}
	return logoutReason(len(ended), len(left)), left, nil
}

func logoutReason(ended, left int) string {
	return fmt.Sprintf("%d sessions ended, %d survived", ended, left)
}
