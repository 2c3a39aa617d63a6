package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// journalled is the state whose audit events also go to the journal, as
// structured records, once they are durable in the trail. The trail is the
// record; a journal that is full or gone loses nothing of it.
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

func (j journalled) Record(ctx context.Context, e shadowsync.Event) error {
	if err := j.DB.Record(ctx, e); err != nil {
		return err
	}
	j.teller.tell(e)
	return nil
}

// Record puts events of their own on record, all in one transaction.
func (e *Engine) Record(ctx context.Context, events ...shadowsync.Event) error {
	if err := e.State.RecordAll(ctx, events); err != nil {
		return err
	}
	e.teller.tell(events...)
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
	t := newTeller()
	t.tell(event)
	t.wait()
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
