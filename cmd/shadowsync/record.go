package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/term/exit"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// attempted is the audited action of a failed attempt.
func attempted(err error) string {
	switch exitStatus(err) {
	case exit.Usage, exit.Unknown, exit.Policy:
		return "refused"
	}
	if errors.As(err, new(*guardPendingError)) {
		return "refused"
	}
	return "failed"
}

// came is the audit record of what a verb did, or of why it failed.
func came(event shadowsync.Event, by shadowsync.Origin, verb string, err error) shadowsync.Event {
	event.At, event.Origin = by.At, by
	event.Origin.Verb = verb
	if err != nil {
		event.Action, event.Reason = attempted(err), err.Error()
	}
	return event
}

// record audits what a verb did, or why it failed, and returns that error too.
func (a *app) record(ctx context.Context, e *engine.Engine, verb string, event shadowsync.Event, err error) error {
	return errors.Join(err, e.Audit(context.WithoutCancel(ctx), came(event, ourselves(e), verb, err)))
}

// origin is the person who runs this process. It does not need the engine.
func (a *app) origin() shadowsync.Origin {
	return engine.OriginOf(a.root, origin.FromPID(os.Getpid()), shadowsync.SeenByTool)
}

// recordWiring audits what setup and remove did. They work without a configuration and may leave
// none. It records nothing if they changed nothing.
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
	event := shadowsync.Event{Action: actions[verb], Reason: strings.Join(done, ", ")}
	return engine.AuditIn(context.WithoutCancel(ctx), a.root, came(event, a.origin(), verb, err))
}
