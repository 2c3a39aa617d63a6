package scenes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// auditMessage is the MESSAGE_ID with which journalctl(1) finds our records.
const auditMessage = "5d1c2f0f7f5e4b0c9c2b7d3a8e6f1a94"

// copiedToJournal: each record of the trail is also in the journal, exactly once, with its parts
// as fields. Records of different processes may come in another order.
func (s *stage) copiedToJournal() {
	s.t.Helper()
	s.Must("shadowsync", "guard", "hold")
	s.Must("shadowsync", "guard", "release")
	s.Must("shadowsync", "sync", "user222", "--prefer", "os")
	var trail struct {
		Events []struct {
			Account, Application, Action, Reason, Result string

			Origin map[string]any
		}
	}
	if err := json.Unmarshal([]byte(s.Must("shadowsync", "audit", "--json")), &trail); err != nil {
		s.t.Fatal(err)
	}
	var want []string
	seen := map[string]bool{}
	for _, e := range trail.Events {
		seen[e.Action] = true
		parts := []any{e.Action, e.Account, e.Application, e.Result, e.Reason}
		for _, name := range []string{"seen_by", "by", "login", "program", "terminal", "verb"} {
			parts = append(parts, e.Origin[name])
		}
		want = append(want, fields(parts...))
	}
	for _, action := range []string{"guard-held", "guard-released", "preferred"} {
		if !seen[action] {
			s.t.Errorf("%s is not on record: the scene proves nothing", action)
		}
	}
	var got []string
	s.eventually("the journal has every record of the trail", machine.Patience, func() bool {
		got = s.auditJournal()
		return len(got) >= len(want)
	})
	slices.Sort(got)
	slices.Sort(want)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		s.t.Errorf("the journal has\n%s\nand the trail\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// auditJournal returns the journal's copies of the audit's records.
func (s *stage) auditJournal() (records []string) {
	s.t.Helper()
	out := s.Must("journalctl", "--output=json", "--all", "MESSAGE_ID="+auditMessage, "SYSLOG_IDENTIFIER=shadowsync")
	for line := range strings.Lines(out) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			s.t.Fatalf("%v in %s", err, line)
		}
		var parts []any
		for _, name := range []string{"ACTION", "ACCOUNT", "APPLICATION", "RESULT", "REASON", "SEEN_BY", "BY", "LOGIN", "PROGRAM", "TERMINAL", "VERB"} {
			parts = append(parts, record["SHADOWSYNC_"+name])
		}
		records = append(records, fields(parts...))
	}
	return records
}

// fields returns a record's parts on one line; an empty or missing part is "".
func fields(parts ...any) string {
	texts := make([]string, len(parts))
	for i, part := range parts {
		if part != nil {
			texts[i] = fmt.Sprint(part)
		}
	}
	return strings.Join(texts, "|")
}

// fullQueue fills journald's queue. One sender is not enough, because it reaches its own limit
// first.
const fullQueue = `
import socket
senders, sent = [], True
while sent:
    senders.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    sent = False
    try:
        while True:
            senders[-1].sendto(b"MESSAGE=full\n", socket.MSG_DONTWAIT, "/run/systemd/journal/socket")
            sent = True
    except BlockingIOError:
        pass
`

// TestJournalHangs: no program waits for a journald that hangs. When journald goes on, it gets the
// daemon's records.
func TestJournalHangs(t *testing.T) {
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.Must("systemctl", "kill", "-s", "STOP", "systemd-journald.service")
	s.eventually("journald has stopped", machine.Patience, func() bool {
		return strings.HasPrefix(s.Must("ps", "-o", "state=", "-C", "systemd-journal"), "T")
	})
	s.Input(fullQueue).Must("python3", "-")
	s.within("passwd", 2*time.Second+slack, func() { s.says(s.passwd("admin", "Silent-1-velvet-x"), "persisted in") })
	// It waits 5 s for the journal, and as long for the sessions to end: logind may hang in its own log.
	s.within("user set password", 10*time.Second+slack, func() {
		s.Input("Silent-2-velvet-x\n").Must("shadowsync", "user", "set", "password", "user222", "--stdin")
	})
	s.passwd("admin", "Silent-3-velvet-x")
	s.Must("systemctl", "kill", "-s", "CONT", "systemd-journald.service")
	s.eventually("the journal is told what it missed", machine.Patience, func() bool {
		journal := strings.Join(s.auditJournal(), "\n")
		return strings.Contains(journal, "adopted|admin|") && strings.Contains(journal, "the journal did not take ")
	})
	s.sides("admin", "Silent-3-velvet-x", "Silent-3-velvet-x")
	s.sides("user222", "Silent-2-velvet-x", "Silent-2-velvet-x")
}
