package engine

import (
	"context"
	"errors"
	"time"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// journalled is the state, and also sends its audit events to the journal as structured records
// once they are durable in the trail. The trail is the authoritative record: a full or missing
// journal loses nothing of it.
type journalled struct {
	*state.DB
	teller *teller
	news   *notifier
}

func (j journalled) Commit(ctx context.Context, application string, transitions []shadowsync.Transition) error {
	if err := j.DB.Commit(ctx, application, transitions); err != nil {
		return err
	}
	var news []shadowsync.Event
	for _, t := range transitions {
		news = append(news, t.Events...)
	}
	j.teller.tell(news...)
	j.news.tell(news)
	return nil
}

func (j journalled) Audit(ctx context.Context, events ...shadowsync.Event) error {
	if err := j.DB.Audit(ctx, events...); err != nil {
		return err
	}
	j.teller.tell(events...)
	return nil
}

// Audit audits single events, all in one transaction.
func (e *Engine) Audit(ctx context.Context, events ...shadowsync.Event) error {
	if err := e.State.Audit(ctx, events...); err != nil {
		return err
	}
	e.teller.tell(events...)
	return nil
}

// Tell sends an event that is already in the trail to the journal, for callers without an engine.
func Tell(root string, event shadowsync.Event) {
	t := newTeller(root)
	t.tell(event)
	t.wait()
}

// AuditIn audits an event for callers without an engine: in the trail of the system at root, if
// there is one, and in the journal.
func AuditIn(ctx context.Context, root string, event shadowsync.Event) error {
	if _, err := inroot.Stat(root, StateDir+"/"+state.FileName); err == nil {
		db, err := state.OpenIn(ctx, root, StateDir)
		if err != nil {
			return err
		}
		if err := errors.Join(db.Audit(ctx, event), db.Close()); err != nil {
			return err
		}
	}
	Tell(root, event)
	return nil
}

// TrimAudit removes the records that the configuration no longer keeps from the trail, records
// that, and returns the number of removed records.
func (e *Engine) TrimAudit(ctx context.Context, by shadowsync.Origin) (int, error) {
	days := e.Config.Audit.KeepDays
	if days == 0 {
		return 0, nil
	}
	now := time.Now()
	n, event, err := e.State.TrimAudit(ctx, now.AddDate(0, 0, -days), shadowsync.Event{At: now, Origin: by})
	if n > 0 && err == nil {
		e.teller.tell(event)
	}
	return n, err
}

func (j journalled) LogoutsDone(ctx context.Context, done ...shadowsync.LoggedOut) error {
	if err := j.DB.LogoutsDone(ctx, done...); err != nil {
		return err
	}
	events := make([]shadowsync.Event, len(done))
	for i, d := range done {
		events[i] = d.Event
	}
	j.teller.tell(events...)
	return nil
}
