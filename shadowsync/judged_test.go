package shadowsync

import (
	"errors"
	"strings"
	"testing"
)

// TestUnjudged: if there are rules, a password that was not checked against them is recorded, once;
// every other password is not.
func TestUnjudged(t *testing.T) {
	for name, test := range map[string]struct {
		change        func(*testing.T, *world)
		judged, vouch bool
		want          int
	}{
		"past PAM":                {func(_ *testing.T, w *world) { w.os["admin"] = cred(hashNew) }, true, false, 1},
		"while the store is down": {func(_ *testing.T, w *world) { w.os["admin"], w.storeErr = cred(hashNew), errors.New("down") }, true, false, 1},
		"no rules":                {func(_ *testing.T, w *world) { w.os["admin"] = cred(hashNew) }, false, false, 0},
		"vouched for":             {func(_ *testing.T, w *world) { w.os["admin"] = cred(hashNew) }, true, true, 0},
		"announced":               {func(t *testing.T, w *world) { w.passwd(t, "admin", hashNew) }, true, false, 0},
		"the application's own":   {func(_ *testing.T, w *world) { w.store["admin"] = held(cred(hashApp), w.fields) }, true, false, 0},
		"the application's on both sides": {func(_ *testing.T, w *world) {
			w.os["admin"], w.store["admin"] = cred(hashApp), held(cred(hashApp), w.fields)
		}, true, false, 0},
		"a lock":      {func(_ *testing.T, w *world) { c := w.os["admin"]; c.Locked = true; w.os["admin"] = c }, true, false, 0},
		"no password": {func(_ *testing.T, w *world) { w.os["admin"] = cred("*") }, true, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld().start(t)
			test.change(t, w)
			for range 2 {
				r := w.reconciler()
				r.Application.Judged = test.judged
				r.Vouched = func(string) bool { return test.vouch }
				if _, err := r.Reconcile(t.Context(), Request{Origin: Origin{SeenBy: SeenByWatch}, Force: true}); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Count(strings.Join(w.actions(), " "), "judged"); got != test.want {
				t.Errorf("%d records, want %d: %v", got, test.want, w.actions())
			}
		})
	}
}
