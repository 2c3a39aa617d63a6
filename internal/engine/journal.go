package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// journalled is the state whose audit events also go to the journal, as
// structured records, once they are durable in the trail. The trail is the
// record; a journal that is full or gone loses nothing of it.
type journalled struct {
	*state.DB
	news *notifier
}

func (j journalled) Commit(ctx context.Context, application string, transitions []shadowsync.Transition) error {
	if err := j.DB.Commit(ctx, application, transitions); err != nil {
		return err
	}
	var news []shadowsync.Event
	for _, t := range transitions {
		for _, e := range t.Events {
			tell(e)
		}
		news = append(news, t.Events...)
	}
	j.news.tell(news)
	return nil
}

func (j journalled) Record(ctx context.Context, e shadowsync.Event) error {
	if err := j.DB.Record(ctx, e); err != nil {
		return err
	}
	tell(e)
	return nil
}

// Record puts events of their own on record, all in one transaction.
func (e *Engine) Record(ctx context.Context, events ...shadowsync.Event) error {
	if err := e.State.RecordAll(ctx, events); err != nil {
		return err
	}
	for _, event := range events {
		tell(event)
	}
	return nil
}

// RecordIn puts an event on record for who has no engine: in the trail of the system at
// root, where there is one, and in the journal.
func RecordIn(ctx context.Context, root string, event shadowsync.Event) error {
	dir := filepath.Join(root, StateDir)
	if _, err := os.Stat(filepath.Join(dir, state.FileName)); err == nil {
		db, err := state.Open(ctx, dir)
		if err != nil {
			return err
		}
		if err := errors.Join(db.Record(ctx, event), db.Close()); err != nil {
			return err
		}
	}
	tell(event)
	return nil
}

// TrimAudit removes what the configuration no longer keeps from the trail, says so
// in it, and returns how many records went.
func (e *Engine) TrimAudit(ctx context.Context, by shadowsync.Origin) (int, error) {
	days := e.Config.Audit.KeepDays
	if days == 0 {
		return 0, nil
	}
	now := time.Now()
	n, event, err := e.State.TrimAudit(ctx, now.AddDate(0, 0, -days), shadowsync.Event{At: now, Origin: by})
	if n > 0 && err == nil {
		tell(event)
	}
	return n, err
}

func (j journalled) LogoutsDone(ctx context.Context, done ...shadowsync.LoggedOut) error {
	if err := j.DB.LogoutsDone(ctx, done...); err != nil {
		return err
	}
	for _, d := range done {
		tell(d.Event)
	}
	return nil
}

// messageID marks audit records of ours: journalctl MESSAGE_ID=...
const messageID = "5d1c2f0f7f5e4b0c9c2b7d3a8e6f1a94"

func tell(e shadowsync.Event) {
	text := e.Account + ": " + e.Action
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	fields := map[string]string{
		"MESSAGE_ID": messageID, "SYSLOG_IDENTIFIER": "shadowsync",
		"SHADOWSYNC_ACTION": e.Action, "SHADOWSYNC_ACCOUNT": printable.Quote(e.Account),
		"SHADOWSYNC_APPLICATION": printable.Quote(e.Application), "SHADOWSYNC_RESULT": string(e.Result),
		"SHADOWSYNC_SEEN_BY": string(e.Origin.SeenBy), "SHADOWSYNC_BY": printable.Quote(e.Origin.By),
		"SHADOWSYNC_LOGIN": printable.Quote(e.Origin.Login), "SHADOWSYNC_PROGRAM": printable.Quote(e.Origin.Program),
		"SHADOWSYNC_SUDO": printable.Quote(e.Origin.Sudo), "SHADOWSYNC_REMOTE": printable.Quote(e.Origin.Remote),
		"SHADOWSYNC_TERMINAL": printable.Quote(e.Origin.Terminal), "SHADOWSYNC_REASON": printable.Quote(e.Reason),
		"SHADOWSYNC_VERB": printable.Quote(e.Origin.Verb),
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
