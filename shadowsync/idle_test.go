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
