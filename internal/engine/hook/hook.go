// Package hook is what systemd runs around an application's start and stop.
//
// A hook works without the broker, because the engine runs in the hook's own process, and ends
// within Limit even if other parts hang. The watch on an application that settles lasts as long as
// the settle time, and Limit applies to each of its looks.
//
//	hook.go    Run, and the moments
//	early.go   stores whose server starts later
//	settle.go  the settle time, and the watch on an application in it
package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Limit bounds a hook from start to end; the units' own time-outs are longer. The watch has the
// settle time, and Limit for each look.
const Limit = 9 * time.Second

// Kind is the moment at which a hook runs.
type Kind string

// The moments.
const (
	PreStart  Kind = "pre-start"  // before the application reads its store
	PostStart Kind = "post-start" // it runs and may have rewritten the OS from its memory
	Settle    Kind = "settle"     // like PostStart, and repeated until the settle time is over
	PreStop   Kind = "pre-stop"
	PostStop  Kind = "post-stop" // it stopped and may have written its memory over the store
)

// Kinds lists the moments, for the command line.
var Kinds = []Kind{PreStart, PostStart, Settle, PreStop, PostStop}

// Bound returns the context in which a hook runs.
func (k Kind) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if k == Settle {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, Limit)
}

// ErrOutdated says that the watch must continue with a new engine, because the configuration has
// changed. With the old configuration it would undo, for up to an hour, what the new one decides.
var ErrOutdated = errors.New("the configuration has changed")

// Again reports whether a hook must run again with a new engine: the configuration has changed, or
// the state was replaced, and what the engine knows is of the old one.
func Again(err error) bool {
	return errors.Is(err, ErrOutdated) || errors.Is(err, state.ErrReplaced)
}

// NotSettledError says that the application is about to start while its store lacks a change that
// the start could undo, and its policy is to refuse that.
type NotSettledError struct {
	Unit    string
	Outcome shadowsync.Outcome
}

func (e *NotSettledError) Error() string {
	return fmt.Sprintf("cannot let %s start: the change of %s is not in its credential store (%s: %s)", e.Unit, e.Outcome.Account, e.Outcome.State, e.Outcome.Reason)
}

// Run does the work of one moment for the application of a unit. units tells about that unit; nil:
// unknown, as on a mounted system.
func Run(ctx context.Context, e *engine.Engine, units Units, kind Kind, unit string) error {
	a, ok := e.Config.Application(unit) // its first store's entry
	if !ok {
		return fmt.Errorf("cannot run the %s hook: no application has the unit %s", kind, unit)
	}
	h := moment{e, units, a}
	if kind == Settle {
		return h.watch(ctx)
	}
	ctx, cancel := kind.Bound(ctx)
	defer cancel()
	switch kind {
	case PreStart:
		return h.preStart(ctx)
	case PostStart:
		if err := h.settle(ctx, h.left(ctx)); err != nil {
			return err
		}
	}
	// The start hook may run at the same time as the stop hook. What the application wrote may come
	// after the start hook looked, so the stop hook compares everything.
	_, err := h.look(ctx, shadowsync.SeenByStart, kind == PostStop)
	return errors.Join(err, h.others(ctx, kind != PreStop))
}

// moment is what all moments share.
type moment struct {
	*engine.Engine
	units       Units
	application config.Application
}

// look compares the OS with every store of the application. Every moment does that.
func (h moment) look(ctx context.Context, seen shadowsync.SeenBy, force bool) ([]shadowsync.Report, error) {
	return h.EachStore(ctx, h.application.Name, func(of config.Application) (shadowsync.Report, error) {
		if h.early(ctx, of) {
			return shadowsync.Report{}, nil
		}
		return h.Reconcile(ctx, of.Name, shadowsync.Request{Origin: shadowsync.Origin{SeenBy: seen}, Force: force})
	})
}

// others looks at the applications to which accounts of this one moved, because this one still
// writes what it remembers of them. wrote: this application ran since the last look.
func (h moment) others(ctx context.Context, wrote bool) error {
	if len(h.Config.Applications) < 2 {
		return nil
	}
	there := map[string][]string{}
	var err error
	for _, of := range h.Config.Holders(h.application) {
		departed, failed := h.State.Departed(ctx, of.Name)
		err = errors.Join(err, failed)
		for _, name := range departed {
			for _, a := range h.Config.ManagingAll(name) {
				if a.Unit != of.Unit && !slices.Contains(there[a.Name], name) {
					there[a.Name] = append(there[a.Name], name)
				}
			}
		}
	}
	for application, names := range there {
		req := shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStart}}
		if wrote {
			req.Evidence.Writer, req.Wrote = shadowsync.WriterApplication, names
		}
		_, failed := h.Reconcile(ctx, application, req)
		err = errors.Join(err, failed)
	}
	return err
}

// preStart also runs for a `systemctl start` of an application that runs already: then it does not
// read its store, and its settle time stays as it was.
func (h moment) preStart(ctx context.Context) error {
	reports, err := h.look(ctx, shadowsync.SeenByStart, false)
	// After the reconcile, which looks at what was done while the application was down; and before
	// the start, because most applications write the OS before they are ready.
	switch activity := h.activity(ctx); {
	case activity.Over && err == nil:
		for i, of := range h.Config.Holders(h.application) {
			if !reports[i].Doubtful() && !h.early(ctx, of) {
				err = errors.Join(err, h.State.SetStarting(ctx, of.Name))
			}
		}
		fallthrough
	case !activity.Active:
		err = errors.Join(err, h.settle(ctx, h.settleTime()))
	}
	err = errors.Join(err, h.others(ctx, false), engine.WriteManaged(ctx, h.Root(), h.Config, h.State))
	_ = engine.Provide(h.Root(), h.Config) // no reason to keep an application down; doctor reports it
	if h.application.Start == config.StartRefuse {
		err = errors.Join(err, refuse(h.application, reports))
	}
	return err
}

func refuse(a config.Application, reports []shadowsync.Report) error {
	for _, report := range reports {
		for _, o := range report.Outcomes {
			if o.AtStake {
				return &NotSettledError{Unit: a.Unit, Outcome: o}
			}
		}
	}
	return nil
}
