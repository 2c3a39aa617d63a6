package shadowsync

import (
	"context"
	"slices"
	"testing"
)

// unused is a store whose application does not use what was written.
type unused struct {
	storeSide
	writes *int
}

func (s unused) Write(ctx context.Context, writes []Write) (Unwritten, error) {
	*s.writes++
	left, err := s.storeSide.Write(ctx, writes)
	for _, w := range writes {
		if err == nil && left[w.Name] == nil {
			left[w.Name] = &NotInForceError{Reason: "reload of a.service failed: x"}
		}
	}
	return left, err
}

// TestNotInForce: the change stays open, each retry tries again although the store holds the value,
// and a restart, which would bring it into force, is not held back.
func TestNotInForce(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	writes := 0
	r := w.reconciler()
	r.Store = unused{storeSide{w}, &writes}
	for tries := 1; tries <= 3; tries++ {
		report, err := r.Reconcile(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		o, _ := report.For("admin")
		why, waits := o.NotInForce()
		if o.State != Pending || !waits || why != "reload of a.service failed: x" || writes != tries {
			t.Errorf("%s, %q after %d writes", o.State, o.Reason, writes)
		}
		w.both(t, "admin", hashNew)
		if len(w.guarded) > 0 || w.memory["admin"].Baseline.OS.Hash != hashBase {
			t.Errorf("guard %v, baseline %+v", w.guarded, w.memory["admin"].Baseline)
		}
	}
	if n := len(slices.DeleteFunc(w.actions(), func(action string) bool { return action != string(VerdictPending) })); n != 1 {
		t.Errorf("audited: %v", w.actions())
	}
	report, _ := w.reconcile(t, Request{})
	if o, _ := report.For("admin"); o.State != InSync || w.memory["admin"].Open != nil {
		t.Errorf("when it works it is %s, %q", o.State, o.Reason)
	}
}
