package shadowsync

import (
	"slices"
	"testing"
)

// TestChoices: the offered sides are those that settle a conflict, and each of them does.
func TestChoices(t *testing.T) {
	both := []Side{OSSide, StoreSide}
	for name, c := range map[string]struct {
		os, store string
		rule      Rule
		refused   bool
		want      []Side
	}{
		"both changed":                      {hashNew, hashApp, RuleHold, false, both},
		"both changed, the store may not":   {hashNew, hashApp, RuleHold, true, []Side{OSSide}},
		"the store changed, and may not":    {hashBase, hashApp, RuleDefault, true, []Side{OSSide}},
		"the password was deleted":          {"", hashBase, RuleDefault, false, []Side{StoreSide}},
		"it was deleted, the store may not": {"", hashApp, RuleHold, true, nil},
		"no conflict":                       {hashNew, hashBase, RuleHold, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			settled := func(side Side) Outcome {
				w := newWorld().start(t)
				w.os["admin"] = w.os["admin"].With(cred(c.os), FieldHash)
				w.store["admin"] = w.store["admin"].With(cred(c.store), FieldHash)
				r := w.reconciler()
				r.Application.Policy.Conflict = c.rule
				if c.refused {
					r.CheckHash = func(hash string) error {
						if hash == hashApp {
							return errWorthless
						}
						return nil
					}
				}
				report, err := r.Reconcile(t.Context(), Request{Evidence: Evidence{Prefer: side}})
				if err != nil {
					t.Fatal(err)
				}
				o, _ := report.For("admin")
				return o
			}
			undecided := settled(Neither)
			if !slices.Equal(undecided.Choices, c.want) {
				t.Errorf("the choices are %v, want %v: %+v", undecided.Choices, c.want, undecided)
			}
			for _, side := range both {
				if got, offered := settled(side).State == InSync, slices.Contains(c.want, side); undecided.State == Conflict && got != offered {
					t.Errorf("%s settles it: %v, and is offered: %v", side, got, offered)
				}
			}
		})
	}
}

// TestOneMalformedRecord: a malformed record is a conflict of that account, even if nothing
// changed. It does not keep another account's change from the store.
func TestOneMalformedRecord(t *testing.T) {
	w := newWorld().start(t)
	w.malformed = map[string]string{"admin": "the password field is too long"}
	w.passwd(t, "user222", hashNew)
	report, _ := w.reconcile(t, Request{})
	w.both(t, "user222", hashNew)
	o, _ := report.For("admin")
	if o.State != Conflict || o.Reason != "store: the password field is too long" || !o.Malformed || o.Choices != nil {
		t.Errorf("admin is %+v", o)
	}
	if report.Fault != nil || w.synced != (Revisions{}) {
		t.Errorf("the store has the fault %v, marked in sync at %v", report.Fault, w.synced)
	}
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{})
	if len(w.guarded) != 0 || w.store["admin"].Hash != hashBase {
		t.Errorf("guarded for %v, the store holds %q", w.guarded, w.store["admin"].Hash)
	}
	w.malformed = nil
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
}
