package scenes

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestNotification: the administrator's own program runs as the user nobody. It is told of a
// change that waits, of a conflict, and of an application that keeps writing an old value back;
// of nothing else, and it gets no secret.
func TestNotification(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{}, "[node]", "[notify]\ncommand = \"/usr/local/bin/tell\"\n\n[node]")
	s.WriteFile("/usr/local/bin/tell", "#!/bin/sh\n{ id -un; cat; } >> /var/lib/told/it\n", 0o755)
	s.MustShell("install -d -o nobody /var/lib/told")
	s.passwd("admin", "Taken-4711-kelp") // the program is not told of this
	s.sub("a change that waits", func(s *stage) {
		s.MustShell("mkdir -p /root/away && mv " + machine.StorePath + " /root/away/")
		s.passwd("admin", "Waits-4711-kelp")
		s.tells("admin", "pending", "pending")
		s.MustShell("mv /root/away/* " + machine.StorePath)
		s.eventually("the change is drained", machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
	})
	s.sub("a conflict", func(s *stage) {
		s.apart("user222")
		s.tells("user222", "conflict", "conflict")
		s.Must("shadowsync", "sync", "user222", "--prefer", "os")
		s.restart() // the appliance then no longer has its own value
	})
	s.sub("the third time that an old value is written back", func(s *stage) {
		old := s.StoreHash("admin")
		s.passwd("admin", "Fresh-4711-tide")
		for range 3 {
			s.AskAppliance("set", "admin", old)
			s.eventually("the store holds the new one again", machine.Patience, func() bool { return s.StoreHash("admin") == s.ShadowHash("admin") })
		}
		s.tells("admin", "alarm", "")
	})
	s.sub("a program that fails, works again, hangs and floods", (*stage).brokenProgram)
}

// brokenProgram: the audit and doctor report a program that fails, and the journal limits its output.
func (s *stage) brokenProgram() {
	s.t.Helper()
	const (
		path   = "/usr/local/bin/tell"
		minute = 90 * time.Second // to get a turn: the program runs at most six times a minute
	)
	becomes := func(script, action, reason string) {
		s.t.Helper()
		s.WriteFile(path, "#!/bin/sh\n"+script+"\n", 0o755)
		before := len(s.trail())
		s.MustShell("mv " + machine.StorePath + " /root/away/")
		s.passwd("admin", "Broken-4711-kelp")
		s.MustShell("mv /root/away/* " + machine.StorePath)
		s.eventually("it is on record that "+script+" is "+action, minute, func() bool {
			return slices.ContainsFunc(s.trail()[before:], func(e event) bool {
				return e.Action == action && strings.Contains(e.Reason, path) && strings.Contains(e.Reason, reason)
			})
		})
	}
	doctor := func(state, text string) {
		s.t.Helper()
		said := s.Run("shadowsync", "doctor").Stdout
		if !regexp.MustCompile(`(?m)^` + state + ` +notify +.*` + text).MatchString(said) {
			s.t.Errorf("doctor says\n%s", said)
		}
	}
	becomes("exit 3", "not-notified", "failed")
	doctor("warn", "it failed")
	becomes("exec cat >/dev/null", "notified", "works again")
	becomes("while :; do echo flood; done", "not-notified", "did not end within 10s")
	doctor("warn", "was killed")
	if n := strings.Count(s.Journal("-q", "-o", "cat", "-t", "shadowsync-notify"), "flood\n"); n == 0 || n > 6*50 { // journald allows six times the limit on a large disk
		s.t.Errorf("%d lines of a flood are in the journal", n)
	}
	s.Must("chmod", "a-x", path)
	doctor("warn", path+" is not executable")
	s.Must("rm", path)
	doctor("warn", "no such file")
}

// hashLike matches more of a hash than its format.
var hashLike = regexp.MustCompile(`\$\w+\$[^"]`)

// tells waits until the program is told, asserts that it was told this and nothing else, and
// clears what it wrote. The program may be told twice of one change: first by the watch, and then
// by the PAM module, which also knows who made it.
func (s *stage) tells(account, action, result string) {
	s.t.Helper()
	s.eventually("the program is told of "+action, machine.Patience, func() bool {
		return strings.Contains(s.Run("cat", "/var/lib/told/it").Stdout, `"action":"`+action+`"`)
	})
	time.Sleep(500 * time.Millisecond) // time for a message that must not come
	s.eventually("the program has read it", machine.Patience, func() bool {
		return s.Must("systemctl", "list-units", "--no-legend", "shadowsync-notify-*") == ""
	})
	said := s.ReadFile("/var/lib/told/it")
	if strings.Contains(said, "4711") || hashLike.MatchString(said) {
		s.t.Errorf("a secret is in what it was told:\n%s", said)
	}
	if n := strings.Count(said, "nobody\n"); n == 0 || n > 2 || strings.Count(said, "\n") != 2*n {
		s.t.Errorf("it was told %d times, or as somebody else:\n%s", n, said)
	}
	for line := range strings.Lines(strings.ReplaceAll(said, "nobody\n", "")) {
		var news struct {
			Node, Asset string
			Events      []event
		}
		if err := json.Unmarshal([]byte(line), &news); err != nil || news.Node != "node1" || news.Asset != "conductor" || len(news.Events) != 1 {
			s.t.Fatalf("%v: it was told\n%s", err, line)
		}
		if e := news.Events[0]; e.Account != account || e.Action != action || e.Result != result {
			s.t.Errorf("it was told of %+v", e)
		}
	}
	s.Must("rm", "/var/lib/told/it")
}
