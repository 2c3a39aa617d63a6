package engine

import (
	"fmt"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// journalPatience is how long the journal may take for one record, and how long an ending program
// waits for the rest. A journal that hangs blocks nobody; the trail is the authoritative record.
const journalPatience = 5 * time.Second

// teller copies events to the journal in order and in the background: journald takes those of
// thousands of accounts at its own pace.
type teller struct {
	send     func(shadowsync.Event)
	patience time.Duration

	mu      sync.Mutex
	waiting []shadowsync.Event
	begun   time.Time     // when sending the present record began
	done    chan struct{} // closed when all is sent; nil: nothing is waiting
	missed  int           // records dropped while the journal hung
}

// newTeller sends to the journal of the running system. For a mounted system it sends nothing: its
// events are not news of the system that the rescue runs on.
func newTeller(root string) *teller {
	t := &teller{send: send, patience: journalPatience}
	if !inroot.Live(root) {
		t.send = func(shadowsync.Event) {}
	}
	return t
}

func (t *teller) tell(events ...shadowsync.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done != nil && time.Since(t.begun) > t.patience {
		t.missed += len(events)
		return
	}
	t.waiting = append(t.waiting, events...)
	if t.done == nil && len(events) > 0 {
		t.begun, t.done = time.Now(), make(chan struct{})
		go t.work()
	}
}

func (t *teller) work() {
	for e, ok := t.next(); ok; e, ok = t.next() {
		t.send(e)
	}
}

func (t *teller) next() (e shadowsync.Event, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = time.Now()
	switch {
	case len(t.waiting) > 0:
		e, t.waiting = t.waiting[0], t.waiting[1:]
	case t.missed > 0:
		reason := fmt.Sprintf("the journal did not take %s in time; the audit has %s", plural.Count(t.missed, "record"), plural.Form(t.missed, "it", "them"))
		e, t.missed = shadowsync.Event{At: t.begun, Action: "not-told", Result: shadowsync.Pending, Reason: reason}, 0
	default:
		close(t.done)
		t.done, t.waiting = nil, nil
		return e, false
	}
	return e, true
}

// drainPatience limits the wait for a slow journal that still takes records, in multiples of the
// patience with one record.
const drainPatience = 6

// wait waits until all is sent, as long as the journal takes records, up to a limit. The rest is
// then only in the trail.
func (t *teller) wait() {
	for until := time.Now().Add(drainPatience * t.patience); ; {
		t.mu.Lock()
		done, left := t.done, min(t.patience-time.Since(t.begun), time.Until(until))
		t.mu.Unlock()
		if done == nil || left <= 0 {
			return
		}
		select {
		case <-done:
		case <-time.After(left):
		}
	}
}

// messageID marks our audit records: journalctl MESSAGE_ID=...
const messageID = "5d1c2f0f7f5e4b0c9c2b7d3a8e6f1a94"

func send(e shadowsync.Event) {
	text := e.Account + ": " + e.Action
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	fields := map[string]string{"MESSAGE_ID": messageID, "SYSLOG_IDENTIFIER": "shadowsync"}
	for name, value := range map[string]string{
		"ACTION": e.Action, "ACCOUNT": e.Account, "APPLICATION": e.Application, "RESULT": string(e.Result), "REASON": e.Reason,
		"SEEN_BY": string(e.Origin.SeenBy), "BY": e.Origin.By, "LOGIN": e.Origin.Login, "PROGRAM": e.Origin.Program,
		"SUDO": e.Origin.Sudo, "REMOTE": e.Origin.Remote, "TERMINAL": e.Origin.Terminal, "VERB": e.Origin.Verb,
	} {
		if value != "" { // each field costs journald time, and there may be thousands of records
			fields["SHADOWSYNC_"+name] = printable.Quote(value)
		}
	}
	_ = journal.Send(printable.Quote(text), priority(e), fields) // see journalled: the trail is the record
}

func priority(e shadowsync.Event) journal.Priority {
	switch {
	case e.Action == "alarm":
		return journal.PriCrit
	case e.Action == string(shadowsync.VerdictRollback): // settled, but the administrator should look
		return journal.PriWarning
	case e.Result.Fits() || e.Result == "":
		return journal.PriNotice
	}
	return journal.PriWarning
}
