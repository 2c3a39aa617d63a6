package systemd

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestReloadUnitOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	var bus Bus
	service := func(name, more string) string {
		write(t, "/run/systemd/system/"+name, "[Service]\nExecStart=/bin/sleep inf\n"+more)
		return name
	}
	for _, name := range []string{
		service("good.service", "ExecReload=/bin/touch /run/reloaded\n"), service("bad.service", "ExecReload=/bin/false\n"),
		service("none.service", ""), service("slow.service", "ExecReload=/bin/sleep inf\n"), service("stopped.service", "ExecReload=/bin/touch /run/wrong\n"),
	} {
		must(t, "systemctl", "daemon-reload")
		if name != "stopped.service" {
			must(t, "systemctl", "start", name)
		}
	}
	write(t, "/usr/lib/systemd/system/masked.service", "[Service]\nExecStart=/bin/sleep inf\nExecReload=/bin/true\n")
	must(t, "systemctl", "start", "masked.service")
	must(t, "systemctl", "mask", "masked.service")
	for name, says := range map[string]string{
		"good.service": "", "masked.service": "the unit is masked", "stopped.service": "", "bad.service": `the job ended with "failed"`,
		"none.service": "the unit has no ExecReload=", "absent.service": "there is no such unit", "slow.service": "deadline exceeded",
	} {
		begun := time.Now()
		err := bus.ReloadUnit(within(t, 2*time.Second), name, 0)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) || time.Since(begun) > 4*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(begun))
		}
	}
	if !exists("/run/reloaded") || exists("/run/wrong") {
		t.Error("it was not reloaded, or the wrong one was")
	}
	begun := time.Now()
	for range 2 {
		if err := bus.ReloadUnit(within(t, patience), "good.service", time.Second); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(begun); took < time.Second || took > 10*time.Second {
		t.Errorf("a reload a second after another took %v", took)
	}
	if r, err := bus.Reloading(within(t, patience), "good.service"); err != nil || !r.Exists || !r.Running || !r.Can || r.MainPID <= 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := os.Remove("/run/reloaded"); err != nil {
		t.Fatal(err)
	}
	must(t, "systemctl", "stop", "good.service", "slow.service")
	if r, err := bus.Reloading(within(t, patience), "good.service"); err != nil || r.Running || r.MainPID != 0 {
		t.Errorf("stopped: %+v, %v", r, err)
	}
}
