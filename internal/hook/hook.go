// Package hook is what systemd runs around an application's start and stop.
//
// It promises to end within Limit, whatever hangs, and to work without the
// broker: the engine runs in the hook's own process.
package hook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Limit bounds a hook from start to end; the units' own time-outs are above it.
const Limit = 9 * time.Second

// Kind is the moment at which a hook runs.
type Kind string

// The moments.
const (
	PreStart  Kind = "pre-start"  // before the application reads its store
	PostStart Kind = "post-start" // it runs; it may have rewritten the OS from its memory
	PreStop   Kind = "pre-stop"
	PostStop  Kind = "post-stop" // it stopped; it may have dumped its memory over the store
)

// Kinds lists the moments, for the command line.
var Kinds = []Kind{PreStart, PostStart, PreStop, PostStop}

// NotSettledError: the application is about to start while a change is not in
// its store that this could undo, and its policy is to refuse that.
type NotSettledError struct {
	Unit    string
	Outcome shadowsync.Outcome
}

func (e *NotSettledError) Error() string {
	return fmt.Sprintf("cannot let %s start: the change of %s is not in its credential store (%s: %s)", e.Unit, e.Outcome.Account, e.Outcome.State, e.Outcome.Reason)
}

// Run does the duty of one moment for the application of a unit.
func Run(ctx context.Context, e *engine.Engine, kind Kind, unit string) error {
	a, ok := e.Config.Application(unit)
	if !ok {
		return fmt.Errorf("cannot run the %s hook: no application has the unit %s", kind, unit)
	}
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	req := shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStart}}
	if kind == PostStart {
		if err := settle(ctx, e, a); err != nil {
			return err
		}
	}
	report, err := e.Reconcile(ctx, a.Name, req)
	if kind != PreStart {
		return err
	}
	// Not before the reconcile, which looks at what was done while the application was
	// down; and not only after the start, for most write the OS before they are ready.
	err = errors.Join(err, settle(ctx, e, a), engine.WriteManaged(ctx, e.Root(), e.Config, e.State))
	if a.Start == config.StartRefuse {
		err = errors.Join(err, refuse(a, report))
	}
	return err
}

// settle opens the time in which an old value on the OS side is the
// application's memory and nobody's wish.
func settle(ctx context.Context, e *engine.Engine, a config.Application) error {
	return e.State.SetSettle(ctx, a.Name, time.Now().Add(time.Duration(e.Config.Settle.Time)))
}

func refuse(a config.Application, report shadowsync.Report) error {
	for _, o := range report.Outcomes {
		if o.AtStake {
			return &NotSettledError{Unit: a.Unit, Outcome: o}
		}
	}
	return nil
}
