package systemd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

const (
	guarded       = "app@1.service"
	guardedFolder = "/run/systemd/system/" + guarded + ".d"
)

func installGuarded(t *testing.T) {
	t.Helper()
	write(t, "/etc/systemd/system/app@.service", "[Unit]\nDescription=Application 100%% %i\n[Service]\nExecStart=sleep 1000\n")
	must(t, "systemctl", "daemon-reload")
	must(t, "systemctl", "start", guarded)
}

func isGuarded(t *testing.T) bool {
	t.Helper()
	out, code := run(t, "systemctl", "stop", guarded)
	if code == 0 {
		must(t, "systemctl", "start", guarded)
		return false
	}
	if !strings.Contains(out, "refused") {
		t.Errorf("stop: exit %d: %s", code, out)
	}
	return true
}

func set(t *testing.T, g *Guard, accounts ...string) {
	t.Helper()
	if err := g.Set(within(t, patience), guarded, "", accounts); err != nil {
		t.Error(err)
	}
}

func expectGuard(t *testing.T, g *Guard, mode GuardMode, accounts ...string) {
	t.Helper()
	status, err := g.Status(guarded)
	if err != nil || status.Mode != mode || !slices.Equal(Names(status.Accounts), accounts) {
		t.Errorf("status %+v, %v; want %s for %q", status, err, mode, accounts)
	}
	if timed := !status.Until.IsZero(); timed != (mode == GuardPending) {
		t.Errorf("status %+v has an end: %v", status, timed)
	}
	if on := isGuarded(t); on != (mode != GuardOff) {
		t.Errorf("mode %s: guarded: %v", mode, on)
	}
}

func expectNothingLeft(t *testing.T) {
	t.Helper()
	if exists(guardedFolder) {
		t.Errorf("left: %q", files(t, guardFolder(guardedFolder)))
	}
	if units := must(t, "systemctl", "list-units", "--all", "--no-legend", "--plain", "shadowsync-guard-*"); units != "" {
		t.Errorf("left: %s", units)
	}
	if description := show(t, guarded, "Description"); description != "Application 100% 1" {
		t.Errorf("description %q", description)
	}
}

func TestGuardOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installGuarded(t)
	g := NewGuard(new(Bus))
	set(t, g)
	expectGuard(t, g, GuardOff)
	expectNothingLeft(t)

	set(t, g, "user%1", "admin")
	expectGuard(t, g, GuardPending, "admin", "user%1")
	const description = "Application 100% 1 (restart held by shadowsync: admin, user%1; run shadowsync status), or: shadowsync guard release " + guarded + " --force"
	if got := show(t, guarded, "Description"); got != description {
		t.Errorf("description %q", got)
	}
	for _, verb := range [][]string{{"restart"}, {"try-restart"}, {"stop"}, {"disable", "--now"}} {
		out, code := run(t, append(append([]string{"systemctl"}, verb...), guarded)...)
		if code == 0 {
			t.Errorf("%q was not refused: %s", verb, out)
		}
	}
	if show(t, guarded, "ActiveState") != "active" {
		t.Error("it does not run any longer")
	}
	before := reloads(t)
	set(t, NewGuard(new(Bus)), "admin", "user%1") // another process sets the same
	if n := reloads(t) - before; n != 0 {
		t.Errorf("the same again cost %d reloads", n)
	}
	set(t, g, "admin")
	expectGuard(t, g, GuardPending, "admin")

	hold := func(do error) {
		if do != nil {
			t.Error(do)
		}
	}
	hold(g.Hold(within(t, patience), guarded))
	expectGuard(t, g, GuardHeld, "admin")
	hold(g.Release(within(t, patience), guarded, false))
	expectGuard(t, g, GuardPending, "admin")
	hold(g.Release(within(t, patience), guarded, true))
	expectGuard(t, g, GuardOff)
	set(t, g, "admin") // still pending, but released by force
	expectGuard(t, g, GuardOff)
	set(t, g)
	expectGuard(t, g, GuardOff)
	expectNothingLeft(t)

	hold(g.Hold(within(t, patience), guarded))
	set(t, g)
	expectGuard(t, g, GuardHeld)
	if timer, _ := run(t, "systemctl", "is-active", GuardTimer(guarded)); strings.TrimSpace(timer) == "active" {
		t.Error("a hold by hand has a time limit")
	}
	hold(g.Release(within(t, patience), guarded, false))
	expectGuard(t, g, GuardOff)
	expectNothingLeft(t)
}

// A unit is held while any store of its application guards it, also where each lifts late as in the
// broker.
func TestGuardOfSeveralStoresOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installGuarded(t)
	other := func(g *Guard, accounts ...string) {
		t.Helper()
		if err := g.Set(within(t, patience), guarded, "roles", accounts); err != nil {
			t.Error(err)
		}
	}
	for name, g := range map[string]*Guard{"tool": NewGuard(new(Bus)), "broker": NewBrokerGuard(new(Bus))} {
		t.Run(name, func(t *testing.T) {
			set(t, g, "admin")
			other(g, "admin", "user")
			expectGuard(t, g, GuardPending, "admin", "admin (roles)", "user (roles)")
			set(t, g)
			eventually.Holds(t, "the first store's guard to lift", func() bool {
				s, err := g.Status(guarded)
				return err == nil && slices.Equal(Names(s.Accounts), []string{"admin (roles)", "user (roles)"})
			})
			expectGuard(t, g, GuardPending, "admin (roles)", "user (roles)")
			other(g, "admin")
			set(t, g, "admin")
			other(g)
			set(t, g)
			if err := g.Close(within(t, patience)); err != nil { // lifts what is due
				t.Error(err)
			}
			expectGuard(t, g, GuardOff)
			expectNothingLeft(t)
		})
	}
	g := NewGuard(new(Bus))
	other(g, "admin")
	if err := g.Restrict(within(t, patience), guarded, ""); err != nil { // the store is gone from the configuration
		t.Error(err)
	}
	expectGuard(t, g, GuardOff)
	expectNothingLeft(t)
}

// guardLimit is long enough for some commands on a busy host.
const guardLimit = 6 * time.Second

// The limit works without our processes, and a change that stays pending guards once.
func TestGuardLimitOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installGuarded(t)
	g := NewGuard(new(Bus)).WithLimit(guardLimit)
	begun := time.Now()
	set(t, g, "admin")
	elapses := show(t, GuardTimer(guarded), "NextElapseUSecMonotonic")
	set(t, g, "admin")
	if again := show(t, GuardTimer(guarded), "NextElapseUSecMonotonic"); elapses == "" || again != elapses {
		t.Errorf("the second call starts the time again: it ended at %s, and ends at %s", elapses, again)
	}
	if !isGuarded(t) {
		t.Error("not guarded")
	}
	eventually.Holds(t, "the limit", func() bool { return show(t, guarded, "RefuseManualStop") == "no" })
	if took := time.Since(begun); took < guardLimit-100*time.Millisecond {
		t.Errorf("a limit of %v lifted after %v", guardLimit, took)
	}
	expectGuard(t, g, GuardOff)
	before := reloads(t)
	set(t, g, "admin")
	expectGuard(t, g, GuardOff)
	if n := reloads(t) - before; n != 0 {
		t.Errorf("past the limit, the same change cost %d reloads", n)
	}
	set(t, g, "admin", "other")
	expectGuard(t, g, GuardPending, "other")
	set(t, g)
	expectNothingLeft(t)
}

func TestGuardTogglesOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installGuarded(t)
	g := NewBrokerGuard(new(Bus))
	before := reloads(t)
	for range 50 {
		set(t, g, "admin")
		set(t, g)
	}
	set(t, g, "admin")
	expectGuard(t, g, GuardPending, "admin")
	set(t, g)
	eventually.Holds(t, "the guard to lift", func() bool { return !exists(guardedFolder) })
	if n := reloads(t) - before; n > 2 {
		t.Errorf("51 toggles cost %d reloads", n)
	}
	expectNothingLeft(t)

	set(t, g, "admin")
	set(t, g)
	if err := g.Close(within(t, patience)); err != nil {
		t.Error(err)
	}
	expectNothingLeft(t)
}

// Many processes at once: each call is complete, and the last one wins.
func TestGuardConcurrencyOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installGuarded(t)
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			g := NewGuard(new(Bus))
			for range 2 {
				set(t, g, "admin")
				set(t, g)
			}
		})
	}
	work.Wait()
	expectNothingLeft(t)
}

// A crash between any two steps is repaired by the next call.
func TestGuardRepairsOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installGuarded(t)
	g := NewGuard(new(Bus))
	set(t, g, "admin")
	conf := filepath.Join(guardedFolder, guardConf)
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	// The guard was lifted in the folder, but systemd was not told.
	must(t, "mv", conf, filepath.Join(guardedFolder, guardOff))
	if !isGuarded(t) {
		t.Error("systemd reads drop-ins without a reload")
	}
	set(t, g)
	expectGuard(t, g, GuardOff)
	expectNothingLeft(t)
	// The guard was written, but systemd was not told, and there is no timer.
	write(t, conf, string(text))
	set(t, g, "admin")
	expectGuard(t, g, GuardPending, "admin")
	if state := show(t, GuardTimer(guarded), "ActiveState"); state != "active" {
		t.Errorf("the timer is %s", state)
	}
	set(t, g)
	expectNothingLeft(t)
}

func TestGuardWithoutBusOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installGuarded(t)
	must(t, "systemctl", "kill", "-s", "STOP", "dbus.service")
	g := NewGuard(new(Bus))
	set(t, g, "admin")
	expectGuard(t, g, GuardPending, "admin")
	set(t, g)
	expectNothingLeft(t)

	// The broker's guard also asks logind, over the bus that hangs.
	g = NewBrokerGuard(new(Bus))
	begun := time.Now()
	set(t, g, "admin")
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("set in %v", took)
	}
	expectGuard(t, g, GuardPending, "admin")
	set(t, g)
	if err := g.Close(within(t, patience)); err != nil {
		t.Error(err)
	}
	expectNothingLeft(t)
	must(t, "systemctl", "kill", "-s", "CONT", "dbus.service")
}

func TestInhibitorOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installGuarded(t)
	g := NewBrokerGuard(new(Bus))
	delay := func() {
		eventually.Holds(t, "the inhibitor", func() bool {
			set(t, g, "admin") // this does not wait for a slow logind
			return delayed(t)
		})
	}
	for range 2 {
		delay()
		set(t, g)
		noDelay(t)
		delay()
		set(t, NewGuard(new(Bus))) // a hook has settled the change, and the broker does not know
		noDelay(t)
	}
	if err := g.Close(within(t, patience)); err != nil {
		t.Error(err)
	}
}

// delayed reports whether a shutdown is delayed.
func delayed(t *testing.T) bool {
	t.Helper()
	list := must(t, "systemd-inhibit", "--list", "--no-pager", "--no-legend")
	return strings.Contains(list, "shadowsync") && strings.Contains(list, "delay")
}

func noDelay(t *testing.T) {
	t.Helper()
	eventually.Holds(t, "logind to notice the release", func() bool { return !delayed(t) })
}

// TestCloseWaitsForALift: a process that ended in the middle of one would leave systemd refusing to stop
// the unit.
func TestCloseWaitsForALift(t *testing.T) {
	g := NewGuard(new(Bus))
	g.lifts.Add(1)
	if err := g.Close(within(t, 10*time.Millisecond)); err == nil {
		t.Error("it did not wait")
	}
	g.lifts.Done()
	if err := g.Close(within(t, patience)); err != nil {
		t.Error(err)
	}
}
