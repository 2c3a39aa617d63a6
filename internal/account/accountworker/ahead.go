package accountworker

import (
	"context"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// waiting is how long a worker that was started in advance may wait for its question.
const waiting = 3 * time.Minute

// Ahead is a worker that was started before its question, because starting a unit takes longer than
// most answers.
type Ahead struct {
	workers *Workers
	started func() *worker.Process // nil: it did not start
}

// StartAhead starts a worker in the background. The caller must close it.
func (w *Workers) StartAhead(ctx context.Context) *Ahead {
	started := sync.OnceValue(func() *worker.Process {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		p, err := w.start(ctx, waiting+deadline)
		if err != nil {
			return nil // Doors starts another, and reports why that failed
		}
		return p
	})
	go started()
	return &Ahead{w, started}
}

// Doors is Workers.Doors. It can be asked once; if its worker is gone, another one answers.
func (a *Ahead) Doors(ctx context.Context, name string, uid int, home string) ([]sessions.Door, error) {
	if p := a.started(); p != nil {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		if answer, err := job.Ask(ctx, p, question{Doors: &doors{name, uid, home}}); err == nil {
			return answer.Doors, nil
		}
	}
	return a.workers.Doors(ctx, name, uid, home)
}

// Close ends a worker that was not asked; one that was asked ends by itself. Closing nil does
// nothing.
func (a *Ahead) Close() {
	if a == nil {
		return
	}
	if p := a.started(); p != nil {
		_ = p.Conn.Close() // it reads the end of its connection; at the latest its deadline ends it
	}
}
