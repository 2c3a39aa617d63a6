package shadowsync

import (
	"context"
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
// that a proven change ends.
func (r *Reconciler) Announce(ctx context.Context, change Change) error {
	lease, err := r.Lock.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("cannot record the change of %s: %w", change.Account, err)
	}
	defer lease.Release()
	memory, err := r.State.Load(ctx, r.Application.Name, []string{change.Account})
	if err != nil {
		return fmt.Errorf("cannot record the change of %s: %w", change.Account, err)
	}
	m := memory.Accounts[change.Account]
	change.State, change.Since = Queued, change.Origin.At
	if change.Verdict == "" {
		change.Verdict = VerdictAdopt
	}
	switch {
	case m.settledAs(change):
		return r.attribute(ctx, change, m)
	case m.Open != nil && m.Open.OS.Hash == change.OS.Hash && m.Open.StoreHash != "":
		change.StoreHash = m.Open.StoreHash
	}
	return r.State.Journal(ctx, r.Application.Name, []Change{change})
}

// settledAs: both sides hold the announced value already, and it was merely noticed.
func (m AccountMemory) settledAs(change Change) bool {
	if m.Baseline == nil || m.Open != nil || m.Baseline.OS.Hash != change.OS.Hash || m.LastChange == nil {
		return false
	}
	return !m.LastChange.SeenBy.Proven() && change.Origin.At.Sub(m.LastChange.At) < attributionWindow
}

func (r *Reconciler) attribute(ctx context.Context, change Change, m AccountMemory) error {
	return r.State.Commit(ctx, r.Application.Name, []Transition{{
		Account: change.Account,
		Origin:  &change.Origin,
		Events: []Event{{
			At: r.Now(), Application: r.Application.Name, Account: change.Account,
			Action: "attributed", Result: InSync, Origin: change.Origin, Winner: "os:" + HashPrefix(change.OS.Hash),
		}},
		Logout: &Logout{Account: change.Account, Keep: change.Origin.Session, Origin: change.Origin},
	}})
}

// EndSessions ends the sessions that are due, and returns the survivors by
// account. It runs after the acknowledgement: nobody waits for a slow logout
// with a password in doubt.
func (r *Reconciler) EndSessions(ctx context.Context) (map[string][]Session, error) {
	due, err := r.State.Logouts(ctx, r.Application.Name)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	snapshot, err := r.Accounts.Read(ctx, r.Application.Accounts)
	if err != nil {
		return nil, err
	}
	survivors := make(map[string][]Session)
	for _, l := range due {
		account, ok := snapshot.Accounts[l.Account]
		event := Event{At: r.Now(), Application: r.Application.Name, Account: l.Account, Action: "logged-out", Origin: l.Origin}
		if ok && account.UID != 0 {
			ended, left, err := r.Sessions.End(ctx, account, l.Keep)
			event.Reason = logoutReason(len(ended), len(left), err)
			survivors[l.Account] = left
		}
		if err := r.State.LogoutDone(ctx, l.ID, event); err != nil {
			return survivors, err
		}
		r.probe(StepLoggedOut)
	}
	return survivors, nil
}

func logoutReason(ended, left int, err error) string {
	text := fmt.Sprintf("%d sessions ended, %d survived", ended, left)
	if err != nil {
		text += ": " + err.Error()
	}
	return text
}
