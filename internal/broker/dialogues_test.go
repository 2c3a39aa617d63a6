package broker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const shell = 4711 // the operator's

// town ends sessions: everything but what is kept of the three that are open.
type town struct {
	mu   sync.Mutex
	open []string
}

func (t *town) left() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

func (t *town) End(ctx context.Context, account shadowsync.Account, l shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	return t.EndBut(ctx, account, sessions.Keep{Session: l.Keep})
}

func (t *town) EndBut(_ context.Context, _ shadowsync.Account, keep sessions.Keep) (ended, survivors []shadowsync.Session, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var left []string
	for _, id := range t.open {
		if id == "shell" && keep.Process.PID == shell {
			left = append(left, id)
			continue
		}
		ended = append(ended, shadowsync.Session{ID: id})
	}
	t.open = left
	return ended, nil, nil
}

func openTown() (*dialogues, *town, *atomic.Int32) {
	t, tried := &town{open: []string{"shell", "ssh", "su"}}, new(atomic.Int32)
	return &dialogues{ender: t, again: func(string) { tried.Add(1) }}, t, tried
}

var admin = shadowsync.Account{Name: "admin", UID: 1000}

const orphansUnit = "shadowsync-helper-pam-308-2.service"

// own is the end of sessions for a change that the shell made itself.
func own() shadowsync.Logout {
	return shadowsync.Logout{ID: 7, Account: "admin", Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByPcli, PID: shell}}
}

// Whoever sits at a prompt while somebody else changes the password ends with all others.
func TestOthersChangeSparesNoShell(t *testing.T) {
	tests := map[string]shadowsync.Origin{
		"root's passwd":              {SeenBy: shadowsync.SeenByPAM, PID: 1},
		"their own passwd":           {SeenBy: shadowsync.SeenByPAM, PID: shell + 1},
		"another shell of theirs":    {SeenBy: shadowsync.SeenByPcli, PID: shell + 1},
		"a process of the same pid":  {SeenBy: shadowsync.SeenByPAM, PID: shell},
		"a change without a process": {SeenBy: shadowsync.SeenByWatch},
		"a worker of another broker": {SeenBy: shadowsync.SeenByPcli, PID: 1, Unit: orphansUnit},
	}
	for name, by := range tests {
		t.Run(name, func(t *testing.T) {
			d, town, _ := openTown()
			one := newDialogue(origin.Process{PID: shell})
			if !d.begin("admin", one) {
				t.Fatal("the dialogue did not begin")
			}
			ended, _, err := d.End(t.Context(), admin, shadowsync.Logout{Account: "admin", Origin: by})
			if err != nil || len(ended) != 3 || len(town.left()) != 0 {
				t.Errorf("%d ended, %q are open, %v", len(ended), town.left(), err)
			}
		})
	}
}

// The shell that made the change ends last, and the end is due until then.
func TestOwnChangeEndsTheShellLast(t *testing.T) {
	d, town, tried := openTown()
	one := newDialogue(origin.Process{PID: shell})
	d.begin("admin", one)
	for range 2 { // whoever else looks for ends that are due
		if _, _, err := d.End(t.Context(), admin, own()); !errors.Is(err, shadowsync.ErrNotYet) {
			t.Fatalf("got %v", err)
		}
	}
	if survivors := <-one.ended; len(survivors) != 0 || !slices.Equal(town.left(), []string{"shell"}) {
		t.Errorf("survived %+v, open %q", survivors, town.left())
	}
	if tried.Load() != 0 {
		t.Error("the last end came before the answer")
	}
	d.end("admin", one)
	if tried.Load() != 1 {
		t.Errorf("the last end was tried %d times after the answer", tried.Load())
	}
	ended, _, err := d.End(t.Context(), admin, own())
	if err != nil || len(ended) != 3 || len(town.left()) != 0 || len(d.parted) != 0 {
		t.Errorf("%d ended in all, %q are open, %d remembered, %v", len(ended), town.left(), len(d.parted), err)
	}
}

// Who asks what came of a change that outlived its broker ends last, too, and for no
// other change.
func TestOrphansShellEndsLast(t *testing.T) {
	for unit, last := range map[string]bool{orphansUnit: true, "ssh.service": false, "": false} {
		d, town, _ := openTown()
		one := newDialogue(origin.Process{PID: shell})
		one.orphan = true
		d.begin("admin", one)
		_, _, err := d.End(t.Context(), admin, shadowsync.Logout{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByPcli, PID: 1, Unit: unit}})
		if errors.Is(err, shadowsync.ErrNotYet) != last || (len(town.left()) == 1) != last {
			t.Errorf("a change from %q: %q are open, %v", unit, town.left(), err)
		}
		d.end("admin", one)
	}
}

// An answer that does not come spares the shell for a while only.
func TestSparedShellLapses(t *testing.T) {
	d, town, tried := openTown()
	one := newDialogue(origin.Process{PID: shell})
	d.begin("admin", one)
	if _, _, err := d.End(t.Context(), admin, own()); !errors.Is(err, shadowsync.ErrNotYet) {
		t.Fatalf("got %v", err)
	}
	one.spared.Reset(time.Millisecond)
	lapsed := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return one.lapsed && tried.Load() == 1
	}
	for end := time.Now().Add(5 * time.Second); !lapsed() && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if ended, _, err := d.End(t.Context(), admin, own()); err != nil || len(ended) != 3 || len(town.left()) != 0 {
		t.Errorf("%d ended, %q are open, %v", len(ended), town.left(), err)
	}
	d.end("admin", one)
	if tried.Load() != 1 {
		t.Errorf("tried %d times", tried.Load())
	}
}

// An account has one dialogue, and one that never began ends nobody's.
func TestOneDialogueAnAccount(t *testing.T) {
	d, _, _ := openTown()
	first, second := newDialogue(origin.Process{PID: 1}), newDialogue(origin.Process{PID: 2})
	if !d.begin("admin", first) || d.begin("admin", second) || !d.begin("user", second) {
		t.Error("one an account is the rule")
	}
	d.end("admin", second)
	if d.open["admin"] != first {
		t.Error("another's end closed it")
	}
	d.end("admin", first)
	if d.open["admin"] != nil {
		t.Error("it is open still")
	}
	asks := newDialogue(origin.Process{PID: 3})
	asks.orphan = true
	if !d.begin("admin", asks) || !d.begin("admin", first) || d.begin("admin", asks) {
		t.Error("who asks what came of a change is in the way of the next one")
	}
}

// TestShellMayAskTheNextBroker: the shell whose broker died in the middle of its change has
// a moment to ask what came of it, and ends last then; what others changed waits for nobody.
func TestShellMayAskTheNextBroker(t *testing.T) {
	mine, worker, given := own(), own(), own()
	mine.Origin.By, given.Origin.By = "admin", "boss"
	worker.Origin = shadowsync.Origin{SeenBy: shadowsync.SeenByPcli, PID: 1, By: "admin", Unit: orphansUnit}
	for name, test := range map[string]struct {
		due         shadowsync.Logout
		waits, asks bool
	}{
		"it asks":                        {mine, true, true},
		"it asks, the worker goes on":    {worker, true, true},
		"it is gone":                     {mine, true, false},
		"an administrator gave this one": {given, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, town, tried := openTown()
			_, _, err := d.End(t.Context(), admin, test.due)
			if errors.Is(err, shadowsync.ErrNotYet) != test.waits || (len(town.left()) == 3) != test.waits {
				t.Fatalf("at once: %q are open, %v", town.left(), err)
			}
			if !test.waits {
				return
			}
			if test.asks {
				one := newDialogue(origin.Process{PID: shell})
				one.orphan = true
				d.begin("admin", one)
				_, _, err = d.End(t.Context(), admin, test.due)
				if !errors.Is(err, shadowsync.ErrNotYet) || !slices.Equal(town.left(), []string{"shell"}) {
					t.Errorf("asked: %q are open, %v", town.left(), err)
				}
				d.end("admin", one)
			} else {
				tries := func() bool {
					d.mu.Lock()
					defer d.mu.Unlock()
					return tried.Load() > 0
				}
				for end := time.Now().Add(5 * askWithin); !tries() && time.Now().Before(end); time.Sleep(time.Millisecond) {
				}
				if !tries() {
					t.Error("the end is not tried again")
				}
			}
			if _, _, err := d.End(t.Context(), admin, test.due); err != nil || len(town.left()) != 0 || len(d.parted) != 0 {
				t.Errorf("at last: %q are open, %d remembered, %v", town.left(), len(d.parted), err)
			}
		})
	}
}
