package operators

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/accountworker"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestStood: a change that is in force ends the other sessions before the shell that asks, even if
// it was not announced. If the configuration lets it end none, the answer does not wait and says
// so.
func TestStood(t *testing.T) {
	for name, test := range map[string]struct {
		settings string
		seen     shadowsync.SeenBy
		told     string // about the sessions; empty: nothing
		left     int    // sessions left at the end
	}{
		"merely noticed":          {"", shadowsync.SeenByStart, "", 0},
		"a change that ends none": {"[sessions]\nend_on = [\"pam\"]\n", shadowsync.SeenByPcli, "other sessions stay open", 3},
	} {
		t.Run(name, func(t *testing.T) {
			f := openOffice(t, test.settings)
			dialogues, town, _ := openTown()
			f.operators.Dialogues = dialogues
			f.call.process = origin.Process{PID: shell}
			d := newDialogue(f.call.process)
			doors := make(chan []string, 1)
			doors <- []string{"a door"}
			d.doors = doors
			start := time.Now()
			told := make(chan operator.Turn, 1)
			go func() {
				var turn operator.Turn
				_, _ = f.shell.Receive(t.Context(), &turn)
				if len(town.left()) == 0 {
					t.Error("the shell ended before it was answered")
				}
				told <- turn
				_ = f.shell.Close()
			}()
			if err := f.operators.stood(t.Context(), f.call, d, f.operators.engine.Config.Applications[0], test.seen); err != nil {
				t.Error(err)
			}
			notes := strings.Join((<-told).Notes, "; ")
			if !strings.HasPrefix(notes, test.told) || !strings.HasSuffix(notes, "a door") || test.told == "" && notes != "a door" {
				t.Errorf("the operator is told %q", notes)
			}
			if len(town.left()) != test.left || time.Since(start) > endsWithin {
				t.Errorf("%q are open after %s", town.left(), time.Since(start))
			}
		})
	}
}

// TestStands: a record from before the password was given does not count.
func TestStands(t *testing.T) {
	given := time.Now()
	at := func(d time.Duration) *shadowsync.Origin { return &shadowsync.Origin{At: given.Add(d)} }
	for name, test := range map[string]struct {
		memory shadowsync.AccountMemory
		want   bool
	}{
		"nothing yet":      {shadowsync.AccountMemory{}, false},
		"an earlier one":   {shadowsync.AccountMemory{LastChange: at(-time.Second)}, false},
		"this one":         {shadowsync.AccountMemory{LastChange: at(time.Second)}, true},
		"not in the store": {shadowsync.AccountMemory{LastChange: at(time.Second), Open: &shadowsync.Change{}}, false},
	} {
		if got := stands(test.memory, given); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestBecame: of a change at a page, whose process or whose broker died.
func TestBecame(t *testing.T) {
	began := time.Now().Add(-time.Hour)
	at := func(d time.Duration) *shadowsync.Origin { return &shadowsync.Origin{At: began.Add(d)} }
	later, early := began.Add(time.Minute), began.Add(-time.Minute)
	pending := &shadowsync.Change{State: shadowsync.Pending, Reason: "read-only file system"}
	for name, test := range map[string]struct {
		memory shadowsync.AccountMemory
		born   time.Time
		want   string
	}{
		"made":                      {shadowsync.AccountMemory{LastChange: at(time.Second)}, later, "Password updated successfully"},
		"made by this broker":       {shadowsync.AccountMemory{LastChange: at(time.Second)}, early, "Password updated successfully"},
		"not made":                  {shadowsync.AccountMemory{LastChange: at(-time.Second)}, later, "nothing was changed"},
		"never changed":             {shadowsync.AccountMemory{}, later, "nothing was changed"},
		"in progress":               {shadowsync.AccountMemory{LastChange: at(-time.Second)}, early, "it is not known yet whether the password was changed; look again in a moment"},
		"the worker may be at work": {shadowsync.AccountMemory{}, time.Now(), "it is not known yet whether the password was changed; look again in a moment"},
		"not in the store":          {shadowsync.AccountMemory{LastChange: at(time.Second), Open: pending}, later, "done on the OS side; app's is pending: read-only file system"},
		"changed again":             {shadowsync.AccountMemory{LastChange: at(30 * time.Minute)}, later, ""},
	} {
		if got := became(config.Application{Name: "app"}, test.memory, began, test.born); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestCame: the next broker takes back what the store could not take after the former one died. It
// waits for an unknown outcome, and leaves changes of others alone.
func TestCame(t *testing.T) {
	mine := shadowsync.Origin{SeenBy: shadowsync.SeenByPcli, By: "user"}
	for name, test := range map[string]struct {
		by    *shadowsync.Origin // origin of the change that the store does not take; nil: none
		given time.Duration      // ago
		says  string             // empty: not known yet
		os    string
	}{
		"the store fails":             {&mine, time.Second, "did not take it; nothing was changed", enginetest.FormerHash},
		"it failed before":            {&mine, -time.Second, "", enginetest.OtherHash},
		"root's waits for the store":  {&shadowsync.Origin{SeenBy: shadowsync.SeenByPAM, By: "root"}, time.Second, "", enginetest.OtherHash},
		"root's still waits":          {&shadowsync.Origin{SeenBy: shadowsync.SeenByPAM, By: "root"}, workerOutlives, "done on the OS side", enginetest.OtherHash},
		"nothing yet":                 {nil, time.Second, "", enginetest.FormerHash},
		"nothing, and never any more": {nil, workerOutlives, "nothing was changed", enginetest.FormerHash},
	} {
		t.Run(name, func(t *testing.T) {
			f := openOffice(t, "")
			f.call.name = "user"
			a := f.operators.engine.Config.Applications[0]
			given := time.Now().Add(-test.given)
			if test.by != nil {
				f.Held.Err = enginetest.ErrGone
				f.Sets(enginetest.OtherHash)
				e := f.operators.Errands.Begin("worker.service", *test.by)
				if _, err := f.operators.announce(t.Context(), a, "user", e, nil); err != nil {
					t.Fatal(err)
				}
			}
			memory := f.OnRecord()
			memory.LastChange = nil // that of the baseline, which is as new
			known, err := f.operators.came(t.Context(), f.call, nil, a, memory, given)
			if known != (test.says != "") || known && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("known %v: %v", known, err)
			}
			var refusal *operator.Error
			if errors.As(err, &refusal) && refusal.Kind == operator.Unavailable {
				t.Error("pcli takes that for an outcome that nobody knows")
			}
			f.Holds(test.os, enginetest.FormerHash)
		})
	}
}

// A broker that is told to stop does not wait for a change that may still come.
func TestOutcomeEndsWithTheBroker(t *testing.T) {
	f := openOffice(t, "")
	life, stop := context.WithCancel(t.Context())
	f.operators.Life, f.operators.Accounts = life, &accountworker.Workers{}
	f.call.name = "user"
	given, err := json.Marshal(operator.Given{At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	f.call.request.Args = given
	time.AfterFunc(3*outcomePause, stop)
	start := time.Now()
	err = f.operators.outcome(t.Context(), f.call)
	var refusal *operator.Error
	if !errors.As(err, &refusal) || refusal.Kind != operator.Unavailable || time.Since(start) > workerOutlives/2 {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}
