package shadowsync

import (
	"context"
	"testing"
)

// backStore is a store that reads back in the call that writes.
type backStore struct {
	storeSide
	back  func(StoreSnapshot) *StoreSnapshot // what it says that it holds
	calls *int                               // readings after a write
	wrote *bool
}

func (s backStore) WriteRead(ctx context.Context, writes []Write) (Unwritten, *StoreSnapshot, error) {
	left, err := s.Write(ctx, writes)
	*s.wrote = true
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, len(writes))
	for i, w := range writes {
		names[i] = w.Name
	}
	held, _ := s.storeSide.Read(ctx, names)
	return left, s.back(held), nil
}

func (s backStore) Read(ctx context.Context, names []string) (StoreSnapshot, error) {
	if *s.wrote {
		*s.calls++
	}
	return s.storeSide.Read(ctx, names)
}

// TestReadBackInTheSameCall: what comes back with a write is checked as what is read afterwards is,
// and is not read again; if nothing comes back, it is read.
func TestReadBackInTheSameCall(t *testing.T) {
	as := func(held StoreSnapshot) *StoreSnapshot { return &held }
	for name, c := range map[string]struct {
		forgets  bool
		storeErr error
		back     func(StoreSnapshot) *StoreSnapshot
		state    ChangeState
		calls    int // readings in the round that writes
	}{
		"it holds what was written":      {false, nil, as, InSync, 0},
		"nothing comes back":             {false, nil, func(StoreSnapshot) *StoreSnapshot { return nil }, InSync, 1},
		"it holds something else":        {true, nil, as, Queued, rounds - 1},
		"the account does not come back": {false, nil, func(StoreSnapshot) *StoreSnapshot { return &StoreSnapshot{} }, Queued, rounds - 1},
		"the write fails":                {false, ErrUnavailable, as, Pending, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld().start(t)
			w.reconcile(t, Request{})
			w.os["admin"] = cred(hashNew)
			w.forgets, w.writeErr = c.forgets, c.storeErr
			r := w.reconciler()
			calls, wrote := 0, false
			r.Store = backStore{storeSide{w}, c.back, &calls, &wrote}
			report, err := r.Reconcile(t.Context(), Request{})
			if err != nil {
				t.Fatal(err)
			}
			if o, _ := report.For("admin"); o.State != c.state {
				t.Errorf("told %s, want %s", o.State, c.state)
			}
			if moved := w.memory["admin"].Baseline.OS.Hash == hashNew; moved != (c.state == InSync) {
				t.Errorf("the baseline moved: %v", moved)
			}
			if calls != c.calls {
				t.Errorf("%d readings after the write, want %d", calls, c.calls)
			}
		})
	}
}
