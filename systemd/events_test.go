package systemd

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// lingering is an application that writes its old users late: its main process ends at once, and
// another of its processes writes the memory more than half a second later.
const lingering = "lingering.service"

func installLingering(t *testing.T, restart string) {
	t.Helper()
	script(t, "/usr/local/bin/lingering", `#!/bin/sh
(trap 'sleep 0.6; echo dump >>`+hookLog+`; exit' TERM; while :; do sleep 0.05; done) &
trap 'exit 0' TERM
echo up >>`+hookLog+`
while :; do sleep 0.05; done
`)
	write(t, "/etc/systemd/system/"+lingering, "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/usr/local/bin/lingering\nRestart="+restart+"\nRestartSec=0.2\n")
	write(t, "/etc/systemd/system/rival.service", "[Unit]\nConflicts="+lingering+"\n[Service]\nExecStart=/usr/bin/sleep infinity\n")
	must(t, "systemctl", "daemon-reload")
}

// event is something that happens to a running application, and the expected lines of the log,
// except pre-start and settle.
type event struct {
	name, restart, script, want string
}

// unrunnable are the hooks whose units cannot run their program: systemd cannot set up the sandbox.
var unrunnable = []string{"/run/systemd/system/shadowsync-start@.service.d/50-unrunnable.conf", "/run/systemd/system/shadowsync-stopped@.service.d/50-unrunnable.conf"}

const (
	// The start must come while it stops: a start cancels a stop that systemd has not begun.
	queued = "systemctl stop --no-block " + lingering + "; while [ $(systemctl show -P SubState " + lingering + ") = running ]; do :; done; systemctl start " + lingering
	mainOf = "$(systemctl show -P MainPID " + lingering + ")"
)

var events = []event{
	{"stop", "no", "systemctl stop " + lingering, "dump post-stop"},
	{"restart", "no", "systemctl restart " + lingering, "dump post-stop up"},
	{"try-restart", "no", "systemctl try-restart " + lingering, "dump post-stop up"},
	{"killed", "no", "kill -9 " + mainOf, "dump post-stop"},
	{"killed and restarted", "always", "kill -9 " + mainOf, "dump post-stop up"},
	{"ended by itself", "no", "kill -TERM " + mainOf, "dump post-stop"},
	{"ended by itself and restarted", "always", "kill -TERM " + mainOf, "dump post-stop up"},
	{"start queued while it stops", "no", queued, "dump post-stop up"},
	{"ended by itself, and a start at once", "no", "kill -TERM " + mainOf + "; systemctl start " + lingering, "dump post-stop up"},
	{"killed, and a start at once", "no", "kill -9 " + mainOf + "; systemctl start " + lingering, "dump post-stop up"},
	{"conflict", "no", "systemctl start rival.service; systemctl stop rival.service", "dump post-stop"},
	{"start of one that runs", "no", "systemctl start " + lingering, ""},
	{"hooks masked", "no", "systemctl mask --runtime shadowsync-start@.service shadowsync-stopped@.service shadowsync-settle@.service; systemctl restart " + lingering +
		"; systemctl unmask --runtime shadowsync-start@.service shadowsync-stopped@.service shadowsync-settle@.service", "dump up"},
}

// After every event, the stop hook runs after the application's last process has written everything
// and before the application starts again. The start hook runs before each start, and the watch
// after it. The same holds if the hooks' units cannot run their program: the second try does.
func TestEventsOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	install(t)
	write(t, hookLog, "")
	dropIn, err := DropIn(PolicyStart, Jobs{})
	if err != nil {
		t.Fatal(err)
	}
	installLingering(t, "no")
	must(t, "systemctl", "start", lingering)
	write(t, DropInPath("/etc", lingering), dropIn) // set up while it runs
	for _, e := range events {
		t.Run(e.name, e.happens)
	}
	for _, dropIn := range unrunnable {
		write(t, dropIn, "[Service]\nBindPaths=/nowhere\n")
	}
	for _, e := range events {
		if !slices.Contains([]string{"restart", "killed and restarted", "start queued while it stops"}, e.name) {
			continue
		}
		t.Run("hooks cannot run, "+e.name, func(t *testing.T) {
			e.happens(t)
			if result := show(t, StartUnit(lingering), "Result"); result != "exit-code" {
				t.Errorf("the first try: %s", result)
			}
		})
	}
}

// happens lets the event happen to a running application, and checks what the hooks did.
func (e event) happens(t *testing.T) {
	installLingering(t, e.restart)
	must(t, "systemctl", "start", lingering)
	eventually.Holds(t, "the application", func() bool { return show(t, lingering, "SubState") == "running" })
	idle(t)
	if err := os.Truncate(hookLog, 0); err != nil {
		t.Fatal(err)
	}
	must(t, "sh", "-c", e.script)
	e.check(t)
}

func (e event) check(t *testing.T) {
	t.Helper()
	want := strings.Fields(e.want)
	var all, noted []string
	enough := func() bool {
		all, noted = noteds(t)
		return len(noted) >= len(want) && (!slices.Contains(want, "up") || e.name == "hooks masked" || slices.Contains(all, "settle"))
	}
	defer func() {
		if !enough() {
			t.Logf("noted %q, want %q", all, want)
		}
	}()
	eventually.Holds(t, "as many events as expected", enough)
	idle(t)
	all, noted = noteds(t)
	if !slices.Equal(noted, want) {
		t.Errorf("noted %q, want %q", all, want)
	}
	up := slices.Index(all, "up")
	if up < 0 || e.name == "hooks masked" {
		return
	}
	if start := slices.Index(all, "pre-start"); start < 0 || start > up {
		t.Errorf("no hook before the start: %q", all)
	}
	if !slices.Contains(all, "settle") {
		t.Errorf("no watch after the start: %q", all)
	}
}

// noteds returns the words of the hooks' log, and those that are not about a start.
func noteds(t *testing.T) (all, noted []string) {
	t.Helper()
	text, err := os.ReadFile(hookLog)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, word)
		if word != "pre-start" && word != "settle" {
			noted = append(noted, word)
		}
		if unit := fmt.Sprintf("--unit %s\n", lingering); word != "up" && word != "dump" && !strings.HasSuffix(line, unit) {
			t.Errorf("a hook was called with %q", line)
		}
	}
	return all, noted
}
