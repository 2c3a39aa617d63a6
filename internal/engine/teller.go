package engine

import (
	"fmt"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// journalPatience is how long the journal may take for one record, and how long the end of a
// program waits for what is left. A journal that hangs holds nobody up; the trail is the record.
const journalPatience = 5 * time.Second

// teller copies events to the journal, in order and while the caller goes on: journald takes
// those of thousands of accounts at its own pace.
type teller struct {
	send     func(shadowsync.Event)
	patience time.Duration

	mu      sync.Mutex
	waiting []shadowsync.Event
	begun   time.Time     // of the record that is being sent
	done    chan struct{} // closed when all is sent; nil: nothing waits
	missed  int           // while the journal hung
}

func newTeller() *teller { return &teller{send: send, patience: journalPatience} }

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
		reason := fmt.Sprintf("the journal did not take %d records in time; the audit has them", t.missed)
		e, t.missed = shadowsync.Event{At: t.begun, Action: "not-told", Result: shadowsync.Pending, Reason: reason}, 0
	default:
		close(t.done)
		t.done, t.waiting = nil, nil
		return e, false
	}
	return e, true
}

// drainPatience bounds the wait for a journal that takes one record after the other, slowly,
// in multiples of the patience with one.
const drainPatience = 6

// wait waits until all is sent, while the journal takes any, and not for ever. What is left
// then stands in the trail alone.
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

// messageID marks audit records of ours: journalctl MESSAGE_ID=...
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
	case e.Action == string(shadowsync.VerdictRollback): // settled, and still to be looked at
		return journal.PriWarning
	case e.Result == shadowsync.InSync || e.Result == "":
		return journal.PriNotice
	}
	return journal.PriWarning
}
