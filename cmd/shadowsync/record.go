package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/setup"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// attempted is the action that a record has of what came to nothing.
func attempted(err error) string {
	switch exitStatus(err) {
	case 2, 5, 6:
		return "refused"
	}
	if errors.As(err, new(*guardPendingError)) {
		return "refused"
	}
	return "failed"
}

// came is the record of what a verb did, or why it did not.
func came(event shadowsync.Event, by shadowsync.Origin, verb string, err error) shadowsync.Event {
	event.At, event.Origin = by.At, by
	event.Origin.Verb = verb
	if err != nil {
		event.Action, event.Reason = attempted(err), err.Error()
	}
	return event
}

// record puts on record what a verb did, or why it did not, and returns that error too.
func (a *app) record(ctx context.Context, e *engine.Engine, verb string, event shadowsync.Event, err error) error {
	return errors.Join(err, e.Record(context.WithoutCancel(ctx), came(event, ourselves(e), verb, err)))
}

// recordWiring puts on record what setup and remove did: they need no configuration, and
// may leave none. Where they did nothing there is nothing to tell.
func (a *app) recordWiring(ctx context.Context, verb string, r setup.Result, err error) error {
	var done []string
	for _, step := range r.Steps {
		if step.State == setup.Done {
			done = append(done, string(step.Step))
		}
	}
	if r.DryRun || err == nil && len(done) == 0 {
		return nil
	}
	actions := map[string]string{"setup": "set-up", "remove": "removed"}
	by := engine.OriginOf(a.root, origin.FromPID(os.Getpid()), shadowsync.SeenByTool)
	event := shadowsync.Event{Action: actions[verb], Reason: strings.Join(done, ", ")}
	return engine.RecordIn(context.WithoutCancel(ctx), a.root, came(event, by, verb, err))
}
