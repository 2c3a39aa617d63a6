package engine

import (
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// mostNotices limits the starts of the administrator's program within noticeSpan. Each start
// creates a unit, and an application can cause events faster than anybody reads them.
const (
	mostNotices = 6
	noticeSpan  = time.Minute
)

// backlog holds the events that wait for the next start: the last one of each account, because it
// makes earlier ones obsolete. The notifier's lock protects it.
type backlog struct {
	events  []shadowsync.Event
	started []time.Time // times of the starts within the span
	timer   *time.Timer // of the next start
}

// add adds an event. It replaces the account's last event of the same kind (alarm or not).
func (b *backlog) add(e shadowsync.Event) {
	for i, old := range b.events {
		if old.Application == e.Application && old.Account == e.Account && (old.Action == "alarm") == (e.Action == "alarm") {
			b.events[i] = e
			return
		}
	}
	b.events = append(b.events, e)
}

// turn takes the waiting events if the program may start now; otherwise it returns how long to
// wait.
func (b *backlog) turn(now time.Time) (events []shadowsync.Event, wait time.Duration) {
	for len(b.started) > 0 && now.Sub(b.started[0]) >= noticeSpan {
		b.started = b.started[1:]
	}
	if len(b.started) >= mostNotices {
		return nil, noticeSpan - now.Sub(b.started[0])
	}
	if len(b.events) > 0 {
		b.started = append(b.started, now)
	}
	events, b.events = b.events, nil
	return events, 0
}
