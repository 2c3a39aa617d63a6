package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func account(name string, left time.Duration) pendingAccount {
	return pendingAccount{Guarded: Guarded{Account: name}, until: uptime() + deadline(left)}
}

func TestGuardText(t *testing.T) {
	tests := []struct {
		name  string
		state guardState
		want  string // the description line
	}{
		{
			"one account",
			guardState{description: "Conductor", pending: []pendingAccount{account("admin", time.Hour)}},
			"Description=Conductor (restart held by shadowsync: admin; run shadowsync status), or: shadowsync guard release %n --force",
		},
		{
			"by hand",
			guardState{held: true, description: "Conductor"},
			"Description=Conductor (restart held by shadowsync: by hand; run shadowsync status), or: shadowsync guard release %n --force",
		},
		{
			"both",
			guardState{held: true, description: "Conductor", pending: []pendingAccount{account("a", time.Hour), account("b", time.Hour)}},
			"Description=Conductor (restart held by shadowsync: by hand, a, b; run shadowsync status), or: shadowsync guard release %n --force",
		},
		{
			"past its time",
			guardState{held: true, description: "C", pending: []pendingAccount{account("a", -time.Second)}},
			"Description=C (restart held by shadowsync: by hand; run shadowsync status), or: shadowsync guard release %n --force",
		},
		{
			"foreign text",
			guardState{description: "50 % of\x1b[31m\n[Service]", pending: []pendingAccount{account("x\nExecStart=/bin/sh %n", time.Hour)}},
			`Description=50 %% of\x1b[31m\n[Service] (restart held by shadowsync: x\nExecStart=/bin/sh %%n; run shadowsync status), or: shadowsync guard release %n --force`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := string(test.state.text())
			_, unit, _ := strings.Cut(text, "[Unit]\n")
			if unit != test.want+"\nRefuseManualStop=yes\n" {
				t.Errorf("what systemd reads:\n%s", unit)
			}
			for line := range strings.Lines(strings.TrimSuffix(text, "[Unit]\n"+unit)) {
				if !strings.HasPrefix(line, "# ") {
					t.Errorf("not a comment: %q", line)
				}
			}
			if back := parseGuard([]byte(text)); !reflect.DeepEqual(back, test.state) {
				t.Errorf("read back: %+v, want %+v", back, test.state)
			}
		})
	}
}

// TestGuardInForce: the unit as loaded by systemd shows a guard, and only ours.
func TestGuardInForce(t *testing.T) {
	pending := guardState{description: "Conductor", pending: []pendingAccount{account("admin", time.Hour)}}
	held := pending
	held.held = true
	for name, test := range map[string]struct {
		unit UnitState
		want GuardMode
	}{
		"none":              {UnitState{Description: "Conductor"}, GuardOff},
		"pending":           {UnitState{Description: pending.heldDescription(), RefusesStop: true}, GuardPending},
		"held":              {UnitState{Description: held.heldDescription(), RefusesStop: true}, GuardHeld},
		"its own refusal":   {UnitState{Description: "Conductor", RefusesStop: true}, GuardOff},
		"the text, no more": {UnitState{Description: pending.heldDescription()}, GuardOff},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.unit.Guard(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestGuardTextIsClipped(t *testing.T) {
	state := guardState{description: "Conductor"}
	for range 10000 {
		state.pending = append(state.pending, account("somebody", time.Hour))
	}
	if text := state.heldDescription(); len(text) > 200 || !strings.HasSuffix(text, "…; run shadowsync status)") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func TestPlainDescription(t *testing.T) {
	state := guardState{held: true, description: "A (b) service"}
	if got := plainDescription(state.heldDescription()); got != "A (b) service" {
		t.Errorf("got %q", got)
	}
}

func TestParseGuardSkipsWhatItDoesNotKnow(t *testing.T) {
	for _, text := range []string{"", "# pending", "# pending x \"a\"", "# pending 1 a", "# description x", "# held by"} {
		if s := parseGuard([]byte(text)); !s.empty() || s.description != "" {
			t.Errorf("%q gave %+v", text, s)
		}
	}
}

// A change that stays pending gets no second term; one that was settled and comes back does.
func TestDeadlinesStay(t *testing.T) {
	s := guardState{}.with("", []string{"b", "a", "a"}, time.Minute)
	if names := Names(s.guarding()); !reflect.DeepEqual(names, []string{"a", "b"}) {
		t.Fatalf("accounts %q", names)
	}
	first := s.pending[0].until
	s = s.with("", []string{"a", "c"}, time.Hour)
	if s.pending[0].until != first || s.pending[1].until <= first {
		t.Errorf("a: %v, then %+v", first, s.pending)
	}
	s = s.with("", nil, time.Hour).with("", []string{"a"}, time.Hour)
	if s.pending[0].until <= first {
		t.Errorf("a new change has the old one's deadline")
	}
	if again := s.with("", []string{"a"}, time.Minute, "a"); again.pending[0] != s.pending[0] {
		t.Errorf("a new change within the limit moves it: %+v", again)
	}
	for _, over := range []deadline{released, 1} {
		s.pending[0].until, s.pending[0].told = over, true
		if again := s.with("", []string{"a"}, time.Hour, "b"); again.on() {
			t.Errorf("past its time a pending change guards again: %+v", again)
		}
		if again := s.with("", []string{"a"}, time.Hour, "a"); !again.on() || again.pending[0].told {
			t.Errorf("past the time of the last, a new change does not guard: %+v", again)
		}
	}
}

// TestGuardOfSeveralStores: a store's accounts are its own: neither its empty list nor a change of
// another store moves them. A file that knows no stores is about the first.
func TestGuardOfSeveralStores(t *testing.T) {
	s := parseGuard([]byte(fmt.Sprintf("# pending %d \"a\"\n", account("a", time.Hour).until)))
	first := s.pending[0].until
	s = s.with("roles", []string{"b", "a"}, time.Minute).with("", []string{"a"}, time.Minute)
	if names := Names(s.guarding()); !reflect.DeepEqual(names, []string{"a", "a (roles)", "b (roles)"}) || s.pending[0].until != first {
		t.Fatalf("%q, %+v", names, s)
	}
	back := parseGuard(s.text())
	if !reflect.DeepEqual(back.pending, s.pending) {
		t.Errorf("read back %+v, want %+v", back.pending, s.pending)
	}
	if s = back.with("", nil, time.Hour); !s.on() || !reflect.DeepEqual(Names(s.guarding()), []string{"a (roles)", "b (roles)"}) {
		t.Errorf("settled in the first store: %+v", s)
	}
	s.pending[0].until = 1
	if told := s.tell(""); len(told.untold("roles")) != 1 || len(told.untold("")) != 0 {
		t.Errorf("told of another store: %+v", told)
	}
	if s = s.with("roles", nil, time.Hour); !s.empty() {
		t.Errorf("settled in both: %+v", s)
	}
}

// TestNoLimit: a guard that is switched off never lapses.
func TestNoLimit(t *testing.T) {
	s := guardState{}.with("", []string{"a"}, 0)
	if s.on() || s.empty() || len(s.lapsed()) > 0 {
		t.Errorf("%+v", s)
	}
}

// TestLapsed: each lapsed account is reported once; accounts that an administrator released are not
// reported.
func TestLapsed(t *testing.T) {
	s := guardState{description: "d", pending: []pendingAccount{account("now", time.Hour), {Guarded: Guarded{Account: "forced"}, until: released}, account("over", -time.Second), account("twice", -time.Second)}}
	s.pending[3].told = true
	if lapsed, untold := Names(s.lapsed()), s.untold(""); !reflect.DeepEqual(lapsed, []string{"over", "twice"}) || !reflect.DeepEqual(untold, []string{"over"}) {
		t.Errorf("lapsed %q, untold %q", lapsed, untold)
	}
	told := parseGuard(s.tell("").text())
	if len(told.untold("")) != 0 || len(told.lapsed()) != 2 || s.pending[2].told {
		t.Errorf("once it was told: %+v, before %+v", told, s)
	}
}

// TestLapsedOnRecord: a failed tell is repeated, and a guard that is on reports nothing.
func TestLapsedOnRecord(t *testing.T) {
	g := NewGuard(new(Bus))
	g.folder = t.TempDir()
	folder := guardFolder(filepath.Join(g.folder, "app.service.d"))
	if _, err := folder.write(guardState{description: "d", pending: []pendingAccount{{Guarded: Guarded{Account: "a"}, until: 1}}}); err != nil {
		t.Fatal(err)
	}
	var told []string
	fails := errors.New("the disk is full")
	for _, want := range []error{fails, nil, nil} {
		err := g.Lapsed(t.Context(), "app.service", "", func(_ context.Context, accounts []string) error {
			told = append(told, accounts...)
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("it says %v, want %v", err, want)
		}
	}
	if !reflect.DeepEqual(told, []string{"a", "a"}) {
		t.Errorf("told of %q", told)
	}
	if s, err := g.Status("app.service"); err != nil || s.Mode != GuardOff || !reflect.DeepEqual(s.Lapsed, []Guarded{{Account: "a"}}) {
		t.Errorf("status %+v, %v", s, err)
	}
}

func files(t *testing.T, folder guardFolder) []string {
	t.Helper()
	entries, err := os.ReadDir(string(folder))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestGuardFolder(t *testing.T) {
	folder := guardFolder(filepath.Join(t.TempDir(), "128T.service.d"))
	step := func(what string, state guardState, reload bool, want ...string) {
		t.Helper()
		got, err := folder.write(state)
		if err != nil || got != reload {
			t.Errorf("%s: reload %v, %v; want %v", what, got, err, reload)
		}
		if left := files(t, folder); !reflect.DeepEqual(left, append([]string{}, want...)) {
			t.Errorf("%s: files %q, want %q", what, left, want)
		}
	}
	pending := guardState{description: "d", pending: []pendingAccount{account("a", time.Hour)}}
	over := guardState{description: "d", pending: []pendingAccount{{Guarded: Guarded{Account: "a"}, until: 1}}}

	step("nothing", guardState{}, false)
	step("on", pending, true, guardConf)
	step("the same", pending, false, guardConf)
	step("past its limit", over, true, guardLifted)
	step("still", over, false, guardLifted)
	step("held by hand", guardState{held: true, description: "d", pending: over.pending}, true, guardConf)
	step("released", over, true, guardLifted)
	step("settled", guardState{}, true, guardOff)
	step("cut short", guardState{}, true, guardOff)
	folder.clean()
	if exists(string(folder)) {
		t.Error("the folder is still there")
	}
	step("on again", pending, true, guardConf)
	info, err := os.Stat(string(folder))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode of the folder: %v, %v", info.Mode(), err)
	}
	write(t, filepath.Join(string(folder), "10-other.conf"), "")
	step("off", guardState{}, true, "10-other.conf", guardOff)
	folder.clean()
	if left := files(t, folder); !reflect.DeepEqual(left, []string{"10-other.conf"}) {
		t.Errorf("with somebody else's drop-in, left: %q", left)
	}
}

// TestGuardThatAnotherProcessChanges: a process that was stopped while it changes a guard does not
// block others for ever, and the error names it.
func TestGuardThatAnotherProcessChanges(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	other, err := os.Open(folder)
	if err == nil {
		err = unix.Flock(int(other.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	g := NewGuard(new(Bus))
	g.folder, g.wait = folder, 50*time.Millisecond
	done := make(chan error)
	go func() { done <- g.Release(t.Context(), "app.service", true) }()
	select {
	case err = <-done:
	case <-time.After(time.Minute):
		t.Fatal("it waits for ever")
	}
	if holder := fmt.Sprintf("process %d holds it: systemd.test", os.Getpid()); !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(err.Error(), holder) {
		t.Errorf("it says %v, want %q", err, holder)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Release(t.Context(), "app.service", true); err != nil {
		t.Errorf("once it is free: %v", err)
	}
}
