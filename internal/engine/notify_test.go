package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// TestNotice: one run for all newsworthy events, with the facts on its standard input.
func TestNotice(t *testing.T) {
	c := &config.Config{Node: config.Node{Name: "node1", Asset: "conductor"}, Notify: config.Notify{Command: "/usr/local/bin/tell", User: "nobody"}}
	var runs []systemd.NoticeUnit
	var said notice
	n := newNotifier("/", c, nil)
	n.run = func(_ context.Context, u systemd.NoticeUnit) error {
		runs = append(runs, u)
		text, err := io.ReadAll(u.Stdin)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &said)
	}
	n.tell([]shadowsync.Event{{Action: "adopted", Result: shadowsync.InSync}, {Action: "attributed"}})
	n.wait()
	if len(runs) != 0 {
		t.Errorf("it ran for what is in order: %+v", runs)
	}
	n.tell([]shadowsync.Event{
		{Account: "admin", Action: "pending", Result: shadowsync.Pending, Reason: "store: read-only file system"},
		{Account: "a", Action: "adopted", Result: shadowsync.InSync},
		{Account: "user222", Action: "conflict", Result: shadowsync.Conflict},
		{Account: "b", Action: "alarm"},
	})
	n.wait()
	if len(runs) != 1 || runs[0].Program != "/usr/local/bin/tell" || runs[0].User != "nobody" || len(said.Events) != 3 || said.Node != "node1" || said.Events[0].Account != "admin" {
		t.Errorf("ran %+v and said %+v", runs, said)
	}
}

func TestNobodyToNotify(t *testing.T) {
	if newNotifier("/", &config.Config{}, nil) != nil || newNotifier("/mnt", &config.Config{Notify: config.Notify{Command: "/x"}}, nil) != nil {
		t.Error("somebody is told")
	}
	var n *notifier
	n.tell([]shadowsync.Event{{Action: "alarm"}})
	n.wait()
}

// A flood of events starts the program a limited number of times, and the last event is reported.
func TestFloodOfNews(t *testing.T) {
	var b backlog
	now := time.Now()
	runs, last := 0, ""
	for i := range 1000 {
		b.add(shadowsync.Event{Account: "admin", Action: "conflict", Reason: strconv.Itoa(i)})
		b.add(shadowsync.Event{Account: "admin", Action: "alarm"})
		due, _ := b.turn(now.Add(time.Duration(i) * time.Millisecond))
		if len(due) > 0 {
			runs, last = runs+1, due[0].Reason
		}
	}
	if runs != mostNotices || last != strconv.Itoa(mostNotices-1) {
		t.Errorf("%d runs, the last about %s", runs, last)
	}
	_, wait := b.turn(now.Add(time.Second))
	due, _ := b.turn(now.Add(time.Second + wait))
	if wait <= 0 || wait > noticeSpan || len(due) != 2 || due[0].Reason != "999" {
		t.Errorf("after %v: %+v", wait, due)
	}
	if due, wait := b.turn(now.Add(time.Hour)); len(due) != 0 || wait != 0 {
		t.Errorf("told twice: %+v, %v", due, wait)
	}
}

// kept is a trail in memory.
type kept struct{ events []shadowsync.Event }

func (k *kept) Audit(_ context.Context, events ...shadowsync.Event) error {
	k.events = append(k.events, events...)
	return nil
}

func (k *kept) Notified(context.Context, time.Time) (shadowsync.Event, bool, error) {
	if len(k.events) == 0 {
		return shadowsync.Event{}, false, nil
	}
	return k.events[len(k.events)-1], true, nil
}

// TestNoticeOutcomes: a program that fails for a day is recorded once an hour, with the number of
// failures, and once when it works again, even if another process saw it fail.
func TestNoticeOutcomes(t *testing.T) {
	k, now := &kept{}, time.Now()
	o := &outcomes{program: "/tell", trail: k}
	o.ended(nil, now)
	if len(k.events) != 0 {
		t.Errorf("a success is on record: %+v", k.events)
	}
	for range 24 * 60 * mostNotices {
		o.ended(errors.New("it failed"), now)
		now = now.Add(noticeSpan / mostNotices)
	}
	if n := len(k.events); n != 24 {
		t.Errorf("%d records of a day of failures", n)
	}
	if e := k.events[23]; e.Action != state.ActionNotNotified || !strings.Contains(e.Reason, "/tell: it failed (and 359 times more since ") {
		t.Errorf("recorded %+v", e)
	}
	other := &outcomes{program: "/tell", trail: k}
	other.ended(nil, now)
	other.ended(nil, now)
	if n := len(k.events); n != 25 || k.events[24].Action != state.ActionNotified {
		t.Errorf("%d records, the last %+v", n, k.events[n-1])
	}
	other.ended(errors.New("it failed"), now)
	if n := len(k.events); n != 26 {
		t.Errorf("%d records after another failure", n)
	}
}

// TestNoticeThatHangs: our process does not wait for the program when it ends, and records no
// result that it did not see.
func TestNoticeThatHangs(t *testing.T) {
	k := &kept{}
	n := newNotifier("/", &config.Config{Notify: config.Notify{Command: "/tell", User: "nobody"}}, k)
	n.run = func(ctx context.Context, _ systemd.NoticeUnit) error {
		<-ctx.Done()
		return ctx.Err()
	}
	n.tell([]shadowsync.Event{{Action: "alarm"}})
	n.wait()
	if len(k.events) != 0 {
		t.Errorf("recorded %+v", k.events)
	}
}
