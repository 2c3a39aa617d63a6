package systemd

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

func TestDropIn(t *testing.T) {
	const want = `# Written by "shadowsync setup"; "shadowsync remove" takes it away again.
# Passwords changed on this machine reach the application's credential store before
# it starts, and are put right again after it started or stopped.
[Unit]
Wants=shadowsync-start@%N.service
After=shadowsync-start@%N.service
OnSuccess=shadowsync-stopped@%N.service
OnFailure=shadowsync-stopped@%N.service
`
	got, err := DropIn(PolicyStart, Jobs{"fail", "replace"})
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
	refuse, err := DropIn(PolicyRefuse, Jobs{})
	if err != nil || refuse != strings.Replace(want, "Wants=", "Requires=", 1) {
		t.Errorf("with policy refuse: %v\n%s", err, refuse)
	}
	for _, mode := range []string{"isolate", "flush"} {
		for list, jobs := range map[string]Jobs{"OnSuccess": {Success: mode}, "OnFailure": {Failure: mode}} {
			left := strings.Replace(want, list+"=shadowsync-stopped@%N.service\n", "", 1)
			if got, err := DropIn(PolicyStart, jobs); err != nil || got != left {
				t.Errorf("with %sJobMode=%s: %v\n%s", list, mode, err, got)
			}
		}
	}
	if text, err := DropIn("never", Jobs{}); err == nil {
		t.Errorf("an unknown policy gave\n%s", text)
	}
	if RunsInside(want) || !RunsInside(want+"\n[Service]\nExecStopPost=-+/usr/sbin/shadowsync hook post-stop --unit %n\n") {
		t.Error("what runs inside the unit is not told from what does not")
	}
}

// application is a unit whose starts and ends appear in the hooks' log.
type application struct {
	unit, file, kind, extra string
}

var applications = []application{
	{"simple.service", "simple.service", "simple", "Restart=always\nRestartSec=0"},
	{"128T.service", "128T.service", "notify", "NotifyAccess=all"},
	{"fork@in-st.service", "fork@.service", "forking", ""},
	{`we\x2dird@a@b.service`, `we\x2dird@.service`, "exec", ""},
}

var programs = map[string]string{
	"simple":  "exec sleep 1000",
	"exec":    "exec sleep 1000",
	"notify":  "systemd-notify --ready\nwhile :; do sleep 0.05; done",
	"forking": "sleep 1000 &",
}

func (a application) install(t *testing.T, policy StartPolicy) {
	t.Helper()
	program := "/usr/local/bin/app-" + a.kind
	note := fmt.Sprintf("#!/bin/sh\necho %s >>%s\n", a.kind, hookLog)
	script(t, program, note+programs[a.kind]+"\n")
	// The unit's own stop program shows that the application wrote its memory before our hook runs.
	script(t, program+"-dump", strings.Replace(note, "echo ", "echo dump-", 1))
	write(t, "/etc/systemd/system/"+a.file, fmt.Sprintf("[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=%s\nExecStart=%s\nExecStop=%s-dump\nProtectSystem=strict\nUser=nobody\nReadWritePaths=/var/log\n%s\n",
		a.kind, program, program, a.extra))
	text, err := DropIn(policy, Jobs{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, DropInPath("/etc", a.unit), text)
}

func installApplications(t *testing.T, policy StartPolicy) {
	t.Helper()
	install(t)
	write(t, hookLog, "")
	if err := os.Chmod(hookLog, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, a := range applications {
		a.install(t, policy)
	}
	must(t, "systemctl", "daemon-reload")
}

// hookReader reads the new lines of the hooks' log.
type hookReader struct{ seen int }

func (r *hookReader) next(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(hookLog)
	if err != nil {
		t.Fatal(err)
	}
	fresh := text[r.seen:]
	r.seen = len(text)
	return string(fresh)
}

var besideTheirHook = regexp.MustCompile(`(?m)^((?:simple|exec)\n)(settle .*\n)`)

// expect waits for as many lines as expected, and compares them.
func (r *hookReader) expect(t *testing.T, what, want string) {
	t.Helper()
	var got string
	defer func() {
		if len(got) < len(want) {
			t.Logf("%s: noted\n%swant\n%s", what, got, want)
		}
	}()
	eventually.Holds(t, "as many lines as expected", func() bool { got += r.next(t); return len(got) >= len(want) })
	// For systemd, a unit of type simple has started before its program does anything; with exec it
	// is nearly so.
	swapped := besideTheirHook.ReplaceAllString(want, "$2$1")
	if got != want && got != swapped {
		t.Errorf("%s: noted\n%swant\n%s", what, got, want)
	}
}

func (a application) starts() string {
	return fmt.Sprintf("pre-start --unit %[1]s\n%[2]s\nsettle --unit %[1]s\n", a.unit, a.kind)
}

func (a application) stops() string {
	return fmt.Sprintf("dump-%[2]s\npost-stop --unit %[1]s\n", a.unit, a.kind)
}

// Every way to start and stop an application runs its hooks, in this order.
func TestHooksOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installApplications(t, PolicyStart)
	var log hookReader
	for _, a := range applications {
		expect := func(what, want string) {
			t.Helper()
			log.expect(t, a.unit+", "+what, want)
			if what != "stop" {
				eventually.Holds(t, a.unit+" to run after "+what, func() bool { return show(t, a.unit, "SubState") == "running" })
			}
		}
		must(t, "systemctl", "start", a.unit)
		expect("start", a.starts())
		must(t, "systemctl", "restart", a.unit)
		expect("restart", a.stops()+a.starts())
		must(t, "systemctl", "try-restart", a.unit)
		expect("try-restart", a.stops()+a.starts())
		if a.kind == "simple" {
			for range 7 { // more often than systemd's default start limit allows for the hook
				must(t, "kill", "-KILL", show(t, a.unit, "MainPID"))
				expect("crash", fmt.Sprintf("post-stop --unit %s\n", a.unit)+a.starts())
			}
		}
		must(t, "systemctl", "stop", a.unit)
		expect("stop", a.stops())
	}
}

// idle waits until systemd has no more jobs: the hook of a stop outlives the stop.
func idle(t *testing.T) {
	t.Helper()
	eventually.Holds(t, "the end of all jobs", func() bool { return !strings.Contains(must(t, "systemctl", "list-jobs", "--no-legend"), ".service") })
}

// Without our program, an application still starts and stops normally.
func TestMissingProgramOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	for _, policy := range []StartPolicy{PolicyStart, PolicyRefuse} {
		installApplications(t, policy)
		must(t, "rm", DefaultBinary)
		var log hookReader
		for _, a := range applications {
			must(t, "systemctl", "start", a.unit)
			log.expect(t, a.unit+" started", a.kind+"\n")
			must(t, "systemctl", "restart", a.unit)
			log.expect(t, a.unit+" restarted", fmt.Sprintf("dump-%[1]s\n%[1]s\n", a.kind))
			must(t, "systemctl", "stop", a.unit)
			if result := show(t, a.unit, "Result"); result != "success" {
				t.Errorf("%s with policy %s ended with %s", a.unit, policy, result)
			}
			log.expect(t, a.unit+" stopped", fmt.Sprintf("dump-%s\n", a.kind))
		}
		idle(t)
		if failed := must(t, "systemctl", "--failed", "--no-legend", "--plain"); failed != "" {
			t.Errorf("with policy %s these failed:\n%s", policy, failed)
		}
	}
}

func TestFailingHookOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	for _, policy := range []StartPolicy{PolicyStart, PolicyRefuse} {
		installApplications(t, policy)
		write(t, "/run/hook-fails", "")
		for _, a := range applications {
			_, code := run(t, "systemctl", "start", a.unit)
			if started := code == 0; started != (policy == PolicyStart) {
				t.Errorf("%s with policy %s and a failing hook: started: %v", a.unit, policy, started)
			}
			must(t, "systemctl", "stop", a.unit)
		}
		must(t, "rm", "/run/hook-fails")
	}
}
