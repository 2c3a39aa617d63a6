package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// repeated is the interval at which repeated failures of the program are recorded.
const repeated = time.Hour

// trailTime bounds the reading and writing of such a record.
const trailTime = 5 * time.Second

// trail is the part of the audit trail that concerns the administrator's program.
type trail interface {
	Notified(ctx context.Context, now time.Time) (shadowsync.Event, bool, error)
	Audit(ctx context.Context, events ...shadowsync.Event) error
}

// outcomes records the results of the administrator's program: the first failure, one record an
// hour for further failures, and when it works again.
type outcomes struct {
	program string
	trail   trail // nil: nothing is recorded

	mu       sync.Mutex
	recorded time.Time // time of the last recorded failure; zero: none since the last success
	unsaid   int       // unrecorded failures since then
	worked   bool      // the last run of this process succeeded
}

func (o *outcomes) ended(err error, now time.Time) {
	if o.trail == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), trailTime)
	defer cancel()
	e := shadowsync.Event{At: now, Action: state.ActionNotNotified, Result: shadowsync.Pending}
	switch {
	case err == nil:
		if o.worked {
			return
		}
		last, found, cannot := o.trail.Notified(ctx, now)
		o.worked = cannot == nil
		if !found || last.Action == state.ActionNotified {
			return
		}
		e.Action, e.Result, e.Reason = state.ActionNotified, shadowsync.InSync, o.program+" works again"
		o.recorded, o.unsaid = time.Time{}, 0
	case !o.recorded.IsZero() && now.Sub(o.recorded) < repeated:
		o.unsaid++
		o.worked = false
		return
	default:
		e.Reason = fmt.Sprintf("%s: %v", o.program, err)
		if o.unsaid > 0 {
			e.Reason += fmt.Sprintf(" (and %s more since %s)", plural.Count(o.unsaid, "time"), o.recorded.UTC().Format(time.RFC3339))
		}
		o.recorded, o.unsaid, o.worked = now, 0, false
	}
	_ = o.trail.Audit(ctx, e) // if the trail cannot be written, the next change reports that
}
