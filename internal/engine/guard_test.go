package engine

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// keeping is a guard that remembers its calls.
type keeping struct {
	NoGuard
	held   []string
	fails  int      // the first calls that fail
	lapsed []string // accounts whose time is over, until tell succeeds
}

func (k *keeping) HoldIf(ctx context.Context, unit string, wanted func(context.Context) (bool, error)) error {
	if k.fails > 0 {
		k.fails--
		return errors.New("systemd does not answer")
	}
	held, err := wanted(ctx)
	if held {
		k.held = append(k.held, unit)
	}
	return err
}

func (k *keeping) Lapsed(ctx context.Context, _, _ string, tell func(context.Context, []string) error) error {
	if len(k.lapsed) == 0 {
		return nil
	}
	err := tell(ctx, k.lapsed)
	if err == nil {
		k.lapsed = nil
	}
	return err
}

// TestHoldAfterABoot: only a recorded hold is set again. Each process sets it: it tries at each
// look until that succeeds, and not afterwards.
func TestHoldAfterABoot(t *testing.T) {
	s, k := mount(t, 1), &keeping{}
	s.engine.options.Guard = k
	look := func() error {
		_, err := s.engine.Reconcile(t.Context(), "app", shadowsync.Request{})
		return err
	}
	if err := look(); err != nil || len(k.held) > 0 {
		t.Fatalf("held %q, %v; nobody holds it", k.held, err)
	}
	if err := s.engine.State.SetHeld(t.Context(), "app", true); err != nil {
		t.Fatal(err)
	}
	s.engine.holds, k.fails = &boots{}, 2 // another process
	for turn := range 5 {
		if err, failed := look(), turn < 2; (err != nil) != failed || len(k.held) > 0 == failed {
			t.Errorf("look %d: held %q, %v", turn, k.held, err)
		}
	}
	if !slices.Equal(k.held, []string{"app.service"}) {
		t.Errorf("held %q, want once", k.held)
	}
}

// TestTheEndOfTheLimitIsOnRecord: the end is recorded once, and not for settled changes.
func TestTheEndOfTheLimitIsOnRecord(t *testing.T) {
	s, k := mount(t, 2), &keeping{}
	s.engine.options.Guard = k
	if err := os.Rename(s.path("var/lib/app"), s.path("var/lib/gone")); err != nil {
		t.Fatal(err)
	}
	s.usermod(t, oldHash, newHash)
	s.reconcile(t)
	k.lapsed = []string{"admin", "user0"}
	s.reconcile(t)
	s.reconcile(t)
	var told []shadowsync.Event
	for record, err := range s.engine.State.Trail(t.Context(), state.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if record.Event.Action == "guard-lifted" {
			told = append(told, record.Event)
		}
	}
	if len(told) != 1 || told[0].Account != "admin" || !newsworthy(told[0]) || !strings.Contains(told[0].Reason, "limit of 10m0s") {
		t.Errorf("on record is %+v", told)
	}
}
