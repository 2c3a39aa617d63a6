package shadowsync

import (
	"context"
	"strings"
	"testing"
)

// askedAbout returns a reconciler that checks for protected accounts, and the list of the checked
// ones.
func askedAbout(w *world, protected map[string]Protection) (*Reconciler, *[]string) {
	var asked []string
	r := w.reconciler()
	r.Protected = func(_ context.Context, led, _ []string) map[string]Protection {
		asked = append(asked, led...)
		return protected
	}
	return r, &asked
}

// A store's change of a protected account is held; there is no check if the store changes nothing.
func TestProtectedFromStore(t *testing.T) {
	w := newWorld().start(t)
	r, asked := askedAbout(w, map[string]Protection{"admin": {Why: "member of disk"}})
	w.passwd(t, "admin", "$y$new")
	if _, err := r.Reconcile(t.Context(), Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	w.both(t, "admin", "$y$new")
	if len(*asked) > 0 {
		t.Errorf("a change of root's waited for a question about %v", *asked)
	}
	w.store["admin"] = held(cred("$y$store"), w.fields)
	w.store["user222"] = held(cred("$y$store2"), w.fields)
	report, err := r.Reconcile(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	o, _ := report.For("admin")
	if o.State != Conflict || !strings.Contains(o.Reason, "the store may not change this account: member of disk") || w.os["admin"].Hash != "$y$new" {
		t.Errorf("%+v, and the OS holds %s", o, w.os["admin"].Hash)
	}
	w.both(t, "user222", "$y$store2")
	if len(*asked) != 2 {
		t.Errorf("asked about %v", *asked)
	}
	r.Application.TrustStore = true
	if _, err := r.Reconcile(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	w.both(t, "admin", "$y$store")
	if len(*asked) != 2 {
		t.Errorf("asked about %v where the store is trusted", *asked)
	}
}

// If there was no time to find out, nothing is written, decided or recorded.
func TestProtectionUnknownYet(t *testing.T) {
	w := newWorld().start(t)
	protected := map[string]Protection{"admin": {Why: "not asked yet", Later: true}}
	r, _ := askedAbout(w, protected)
	w.store["admin"] = held(cred("$y$store"), w.fields)
	report, err := r.Reconcile(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := report.For("admin"); o.State != Queued || len(w.events) > 0 || w.os["admin"].Hash != hashBase || w.memory["admin"].Open != nil {
		t.Errorf("%+v, %d events, the OS holds %s", o, len(w.events), w.os["admin"].Hash)
	}
	delete(protected, "admin")
	if _, err := r.Reconcile(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	w.both(t, "admin", "$y$store")
}
