package engine

import (
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// TestNotice: one run for all that needs a person, with the facts on its standard input.
func TestNotice(t *testing.T) {
	c := &config.Config{Node: config.Node{Name: "node1", Asset: "conductor"}, Notify: config.Notify{Command: "/usr/local/bin/tell", User: "nobody"}}
	var runs []systemd.NoticeUnit
	var said notice
	n := &notifier{config: c, start: func(_ context.Context, u systemd.NoticeUnit) error {
		runs = append(runs, u)
		text, err := io.ReadAll(u.Stdin)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &said)
	}}
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
