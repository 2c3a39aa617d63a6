package shadowsync

import (
	"errors"
	"slices"
	"testing"
)

// TestIdleAccountsEndAtOnce: accounts that run nothing are settled and audited without a check of
// each. Without knowledge of running processes every account is checked.
func TestIdleAccountsEndAtOnce(t *testing.T) {
	everybody := []string{"admin", "user222"}
	for name, tc := range map[string]struct {
		occupied func() (map[int]bool, error)
		ended    []string
	}{
		"nobody knows": {nil, everybody},
		"no answer":    {func() (map[int]bool, error) { return nil, errors.New("no /proc") }, everybody},
		"they are":     {func() (map[int]bool, error) { return map[int]bool{1000: true}, nil }, everybody},
		"nobody is":    {func() (map[int]bool, error) { return map[int]bool{0: true}, nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld().start(t)
			w.passwd(t, "admin", hashNew)
			w.passwd(t, "user222", hashNew)
			r := w.reconciler()
			if _, err := r.Reconcile(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
			r.Occupied = tc.occupied
			w.ended, w.events = nil, nil
			if _, err := r.EndSessions(t.Context()); err != nil {
				t.Fatal(err)
			}
			slices.Sort(w.ended)
			if !slices.Equal(w.ended, tc.ended) || len(w.logouts) != 0 || len(w.events) != 2 {
				t.Errorf("ended %q, still due %d, records %d", w.ended, len(w.logouts), len(w.events))
			}
		})
	}
}

// TestAWaitIsRecordedOnce: a store without a revision is looked at every 30 seconds, and thousands of its
// accounts may wait for a login. Looks that find no news write nothing.
func TestAWaitIsRecordedOnce(t *testing.T) {
	for name, wait := range map[string]struct {
		begin func(*world)
		state ChangeState
	}{
		"for a login": {func(w *world) { w.os["admin"] = w.os["admin"].With(cred(hashNew), FieldsPassword) }, NeedsLogin},
		"for the store": {func(w *world) {
			w.clearPasswd(t, "admin", hashNew, ownNew)
			w.storeErr = ErrUnavailable
		}, Pending},
		"for a person":   {func(w *world) { w.os["admin"] = w.os["admin"].With(Credential{}, FieldHash) }, Conflict},
		"for its return": {func(w *world) { delete(w.store, "admin") }, Missing},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOwnWorld(t)
			wait.begin(w)
			w.reconcile(t, Request{})
			if got := w.stateOf("admin"); got != wait.state {
				t.Fatalf("it is %s", got)
			}
			w.commits = 0
			open := *w.memory["admin"].Open
			for range 3 {
				w.reconcile(t, Request{})
			}
			if now := w.memory["admin"].Open; w.commits > 0 || now == nil || *now != open {
				t.Errorf("%d commits; it was %+v, and is %+v", w.commits, open, now)
			}
		})
	}
}
