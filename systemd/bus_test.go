package systemd

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestUnitOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	var bus Bus
	ctx := within(t, patience)
	write(t, "/run/systemd/system/app.service", "[Unit]\nDescription=An application\n[Service]\nExecStart=sleep 1000\n")
	if err := bus.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	before, err := bus.Unit(ctx, "app.service")
	if err != nil || before.Load != "loaded" || before.Active != "inactive" || !before.Entered.IsZero() || before.Description != "An application" {
		t.Errorf("before its start: %+v, %v", before, err)
	}
	begun := time.Now()
	if err := bus.Start(ctx, "app.service"); err != nil {
		t.Fatal(err)
	}
	running, err := bus.Unit(ctx, "app.service")
	if err != nil || running.Active != "active" || running.Sub != "running" || len(running.Invocation) != 32 || running.Entered.Before(begun) || running.Changed.Before(begun) {
		t.Errorf("running: %+v, %v", running, err)
	}
	if err := bus.Stop(ctx, "app.service"); err != nil {
		t.Fatal(err)
	}
	if stopped, err := bus.Unit(ctx, "app.service"); err != nil || stopped.Active != "inactive" {
		t.Errorf("stopped: %+v, %v", stopped, err)
	}
	if none, err := bus.Unit(ctx, "none.service"); err != nil || none.Load != "not-found" {
		t.Errorf("a unit that is not there: %+v, %v", none, err)
	}
	if err := bus.Stop(ctx, "none.service"); err != nil {
		t.Errorf("stop of a unit that is not there: %v", err)
	}
	if err := bus.Start(ctx, "none.service"); err == nil {
		t.Error("a unit that is not there started")
	}
	write(t, "/run/systemd/system/app.service", "[Service]\nType=oneshot\nExecStart=false\n")
	must(t, "systemctl", "daemon-reload")
	if err := bus.Start(ctx, "app.service"); err == nil || !strings.Contains(err.Error(), "failed") {
		t.Errorf("start of a unit that fails: %v", err)
	}
}

func TestEnableOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	install(t)
	var bus Bus
	links := []string{"/etc/systemd/system/sockets.target.wants/" + RootSocketUnit, "/etc/systemd/system/multi-user.target.wants/" + BrokerUnit}
	for range 2 { // repeating it must work
		if err := bus.Enable(within(t, patience), BrokerUnit, RootSocketUnit, OperatorSocketUnit); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range links {
		if !exists(link) {
			t.Errorf("enabled, there is no %s", link)
		}
	}
	for range 2 {
		if err := bus.Disable(within(t, patience), BrokerUnit, RootSocketUnit, OperatorSocketUnit); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range links {
		if exists(link) {
			t.Errorf("disabled, there is still %s", link)
		}
	}
}

func BenchmarkUnit(b *testing.B) {
	if os.Getenv(insideVariable) == "" {
		b.Skip("needs a test machine")
	}
	for b.Loop() {
		if _, err := new(Bus).Unit(b.Context(), "dbus.service"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGuardOff(b *testing.B) {
	if os.Getenv(insideVariable) == "" {
		b.Skip("needs a test machine")
	}
	g := NewGuard(new(Bus))
	for b.Loop() {
		if err := g.Set(b.Context(), guarded, "", nil); err != nil {
			b.Fatal(err)
		}
	}
}

// When systemd re-executes itself, it drops every connection, but no answer is lost.
func TestReexecOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	var bus Bus
	var work sync.WaitGroup
	done := make(chan struct{})
	work.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(200 * time.Millisecond): // systemd must answer some call in between
				must(t, "systemctl", "daemon-reexec")
			}
		}
	})
	var longest time.Duration
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		begun := time.Now()
		if _, err := bus.Unit(within(t, patience), "dbus.service"); err != nil {
			t.Error(err)
		}
		longest = max(longest, time.Since(begun))
	}
	t.Logf("the longest call took %v", longest)
	close(done)
	work.Wait()
}

// Even if the dbus-daemon is gone or hangs, root reaches systemd.
func TestNoBusOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	var bus Bus
	reach := func(state string) {
		t.Helper()
		begun := time.Now()
		if _, err := bus.Unit(within(t, patience), "dbus.service"); err != nil {
			t.Errorf("with dbus-daemon %s: %v", state, err)
		}
		if err := bus.Start(within(t, patience), "dbus.socket"); err != nil {
			t.Errorf("a job with dbus-daemon %s: %v", state, err)
		}
		t.Logf("with dbus-daemon %s: %v", state, time.Since(begun))
	}
	reach("running")
	must(t, "systemctl", "kill", "-s", "STOP", "dbus.service")
	reach("hung")
	must(t, "systemctl", "kill", "-s", "CONT", "dbus.service")
	write(t, "/run/systemd/system/dbus.socket.d/gone.conf", "[Socket]\nRemoveOnStop=yes\n")
	must(t, "systemctl", "daemon-reload")
	must(t, "systemctl", "stop", "dbus.socket", "dbus.service")
	if exists("/run/dbus/system_bus_socket") {
		t.Error("the bus is not gone")
	}
	if _, err := bus.Unit(within(t, patience), "dbus.service"); err != nil {
		t.Errorf("without dbus-daemon: %v", err)
	}
}

func TestWaitsAreBoundedOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	var bus Bus
	must(t, "systemctl", "kill", "-s", "STOP", "dbus.service")
	if _, err := bus.Unit(within(t, patience), "dbus.service"); err != nil {
		t.Errorf("PID 1 is asked over the bus that hangs: %v", err)
	}
	begun := time.Now()
	_, err := Logind{}.List(within(t, 300*time.Millisecond), 1000)
	if took := time.Since(begun); err == nil || took > 10*time.Second {
		t.Errorf("logins: %v after %v", err, took)
	}
	must(t, "systemctl", "kill", "-s", "CONT", "dbus.service")
	write(t, "/run/systemd/system/slow.service", "[Service]\nType=oneshot\nExecStart=sleep 1000\n")
	must(t, "systemctl", "daemon-reload")
	if err := bus.Start(within(t, 300*time.Millisecond), "slow.service"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a job that takes long: %v", err)
	}
}

// reloads counts how often systemd has read its unit files since boot.
func reloads(t *testing.T) int {
	t.Helper()
	must(t, "journalctl", "--sync")
	said := "\n" + must(t, "journalctl", "-b", "-o", "cat", "--no-pager", "_PID=1")
	return strings.Count(said, "\nReloading.")
}

func TestReloadsCoalesceOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	var bus Bus
	before := reloads(t)
	var work sync.WaitGroup
	for range 50 {
		work.Go(func() {
			if err := bus.Reload(within(t, patience)); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if n := reloads(t) - before; n < 1 || n > 3 {
		t.Errorf("50 callers at once cost %d reloads", n)
	}
}
