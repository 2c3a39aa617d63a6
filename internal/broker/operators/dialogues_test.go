package operators

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const shell = 4711 // the operator's

// town ends sessions: of the three open ones, all that are not to be kept. It reports again the one
// that its leader is still closing.
type town struct {
	mu      sync.Mutex
	open    []string
	closing string
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
	if t.closing != "" && !slices.ContainsFunc(ended, func(s shadowsync.Session) bool { return s.ID == t.closing }) {
		ended = append(ended, shadowsync.Session{ID: t.closing})
	}
	return ended, nil, nil
}

func (t *town) Foresee(context.Context) {}

func (t *town) ListLeftAlone(context.Context, shadowsync.Account) ([]sessions.LeftAlone, error) {
	return nil, nil
}

func openTown() (*Dialogues, *town, *atomic.Int32) {
	t, tried := &town{open: []string{"shell", "ssh", "su"}, closing: "ssh"}, new(atomic.Int32)
	return &Dialogues{Ender: t, Again: func(string) { tried.Add(1) }}, t, tried
}

var admin = shadowsync.Account{Name: "admin", UID: 1000}

const orphansUnit = "shadowsync-helper-pam-308-2.service"

// own is the end of sessions for a change that the shell made itself.
func own() shadowsync.Logout {
	return shadowsync.Logout{ID: 7, Account: "admin", Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByPcli, PID: shell}}
}

// A shell at a prompt ends with all others if someone else changes the password.
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
	for range 2 { // as anything does that looks for due ends
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

// A shell that asks for the outcome of a change that outlived its broker ends last, too, but only
// for that change.
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

// A missing answer spares the shell only for a while.
func TestSparedShellLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, town, tried := openTown()
		one := newDialogue(origin.Process{PID: shell})
		d.begin("admin", one)
		if _, _, err := d.End(t.Context(), admin, own()); !errors.Is(err, shadowsync.ErrNotYet) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(spareFor - time.Nanosecond)
		synctest.Wait()
		if tried.Load() != 0 || !slices.Equal(town.left(), []string{"shell"}) {
			t.Errorf("too early: tried %d times, %q are open", tried.Load(), town.left())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if ended, _, err := d.End(t.Context(), admin, own()); err != nil || len(ended) != 3 || len(town.left()) != 0 {
			t.Errorf("%d ended, %q are open, %v", len(ended), town.left(), err)
		}
		d.end("admin", one)
		if tried.Load() != 1 {
			t.Errorf("tried %d times", tried.Load())
		}
	})
}

// TestNewestDialogueGoesOn: of an account's dialogues in which everything was shown, the newest goes on,
// unless an older one is making a change. Ending one that has given way changes nothing.
func TestNewestDialogueGoesOn(t *testing.T) {
	d, _, _ := openTown()
	first, second, other := newDialogue(origin.Process{PID: 1}), newDialogue(origin.Process{PID: 2}), newDialogue(origin.Process{PID: 3})
	yielded := 0
	first.yield = func() { yielded++ }
	if !d.begin("admin", first) || !d.begin("user", other) || !d.begin("admin", second) || yielded != 1 || other.busy {
		t.Errorf("the older one has given way %d times", yielded)
	}
	if d.hold("admin", first) || !d.hold("admin", second) {
		t.Error("the older one may change the password, or the newer may not")
	}
	d.end("admin", first)
	if d.open["admin"] != second || d.begin("admin", first) {
		t.Error("a change in progress gives way")
	}
	d.release(second)
	if !d.begin("admin", first) {
		t.Error("who waits again does not give way")
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

// TestDialoguesInside: one dialogue of each account gets what is prepared ahead.
func TestDialoguesInside(t *testing.T) {
	var d Dialogues
	first, second := newDialogue(origin.Process{PID: 1}), newDialogue(origin.Process{PID: 2})
	d.leave("admin", first)
	if !d.enter("admin", first) || d.enter("admin", second) || !d.enter("user", second) || d.count() != 2 || !d.InProgress() {
		t.Errorf("%d accounts", d.count())
	}
	d.leave("admin", first)
	d.leave("admin", second)
	d.leave("user", second)
	if d.count() != 0 || d.InProgress() {
		t.Errorf("%d accounts at the end", d.count())
	}
}

// TestShellMayAskTheNextBroker: a shell whose broker died during its change has a moment to ask for
// the outcome, and then ends last; a change by someone else waits for no shell.
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
			synctest.Test(t, func(t *testing.T) { brokerDied(t, test.due, test.waits, test.asks) })
		})
	}
}

func brokerDied(t *testing.T, due shadowsync.Logout, waits, asks bool) {
	d, town, tried := openTown()
	_, _, err := d.End(t.Context(), admin, due)
	if errors.Is(err, shadowsync.ErrNotYet) != waits || (len(town.left()) == 3) != waits {
		t.Fatalf("at once: %q are open, %v", town.left(), err)
	}
	if !waits {
		return
	}
	if asks {
		one := newDialogue(origin.Process{PID: shell})
		one.orphan = true
		d.begin("admin", one)
		_, _, err = d.End(t.Context(), admin, due)
		if !errors.Is(err, shadowsync.ErrNotYet) || !slices.Equal(town.left(), []string{"shell"}) {
			t.Errorf("asked: %q are open, %v", town.left(), err)
		}
		d.end("admin", one)
	} else {
		time.Sleep(askWithin)
		synctest.Wait()
		if tried.Load() == 0 {
			t.Error("the end is not tried again")
		}
	}
	if _, _, err := d.End(t.Context(), admin, due); err != nil || len(town.left()) != 0 || len(d.parted) != 0 {
		t.Errorf("at last: %q are open, %d remembered, %v", town.left(), len(d.parted), err)
	}
}
