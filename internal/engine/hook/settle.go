package hook

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/watch"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

const (
	// unitPatience limits the question whether the application runs.
	unitPatience = time.Second
	// brokerFirst is how long we leave a change to the broker, which knows its origin.
	brokerFirst = time.Second
	// settlePace is the time between two looks without news: the store's file is not watched here.
	settlePace = 10 * time.Second
)

// Units reports whether an application's unit runs; *systemd.Bus implements it.
type Units interface {
	Activity(ctx context.Context, unit string) (systemd.Activity, error)
}

// activity is what is known about the application's unit. If it is unknown, the unit is neither
// active nor over, like one that is starting.
func (h moment) activity(ctx context.Context) systemd.Activity {
	if h.units == nil {
		return systemd.Activity{}
	}
	ctx, cancel := context.WithTimeout(ctx, unitPatience)
	defer cancel()
	activity, err := h.units.Activity(ctx, h.application.Unit)
	if err != nil {
		return systemd.Activity{}
	}
	return activity
}

func (h moment) settleTime() time.Duration { return time.Duration(h.Config.Settle.Time) }

// left is the rest of an application's settle time. One that did not start, because of a failing
// ExecStartPre= or an unmet condition, has none.
func (h moment) left(ctx context.Context) time.Duration {
	switch activity := h.activity(ctx); {
	case activity.Over:
		return 0
	case activity.Active:
		return max(0, h.settleTime()-activity.For)
	}
	return h.settleTime()
}

// settle sets the time during which an old value on the OS side counts as the application's memory
// and not as a wish.
func (h moment) settle(ctx context.Context, left time.Duration) error {
	var errs []error
	until := time.Now().Add(left)
	for _, of := range h.Config.Holders(h.application) {
		errs = append(errs, h.State.SetSettle(ctx, of.Name, until))
	}
	return errors.Join(errs...)
}

// watch looks soon, at every change of the shadow file and at the end of the settle time, with or
// without a broker. A new start of the application ends it; so does whatever needs a new engine
// (Again).
func (h moment) watch(ctx context.Context) error {
	left := h.left(ctx)
	settling, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	events, err := watch.Watch(settling, inroot.Shown(h.Root(), "etc/shadow"), slog.Default())
	if err != nil {
		slog.Warn("cannot watch the shadow file; looks at it from time to time instead", "error", err)
	}
	if err := h.settle(ctx, left); err != nil {
		return err
	}
	h.leaveToBroker(settling)
	h.pace(func() *shadowsync.Pace { return &shadowsync.Pace{} }) // each look that writes causes the next one
	err = h.glance(ctx, shadowsync.SeenByStart, settling.Err() != nil)
	for settling.Err() == nil && !Again(err) {
		select {
		case <-settling.Done():
		case _, open := <-events:
			if !open {
				events = nil // the watch ended with the settle time
			}
			h.leaveToBroker(settling)
		case <-time.After(settlePace):
		}
		if settling.Err() != nil {
			h.pace(func() *shadowsync.Pace { return nil }) // this is the last look
		}
		err = h.glance(ctx, shadowsync.SeenByWatch, settling.Err() != nil)
	}
	if ctx.Err() != nil {
		return nil // the next start looks itself
	}
	return err
}

// pace limits what the stores of the application change by themselves.
func (h moment) pace(fresh func() *shadowsync.Pace) {
	for _, of := range h.Config.Holders(h.application) {
		h.Reconciler(of.Name).Pace = fresh()
	}
}

// glance is one look of the watch, within Limit. Only the result of the last one counts.
func (h moment) glance(ctx context.Context, seen shadowsync.SeenBy, force bool) error {
	if h.Outdated() {
		return ErrOutdated
	}
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	_, err := h.look(ctx, seen, force)
	return errors.Join(err, h.others(ctx, true))
}

// leaveToBroker waits for what a running broker does about a change. Without a broker, only this
// watch repairs what the application writes as it starts, so there is nothing to wait for.
func (h moment) leaveToBroker(ctx context.Context) {
	if h.units != nil {
		asking, cancel := context.WithTimeout(ctx, unitPatience)
		defer cancel()
		if broker, err := h.units.Activity(asking, systemd.BrokerUnit); err == nil && !broker.Active {
			return
		}
	}
	select {
	case <-ctx.Done():
	case <-time.After(brokerFirst):
	}
}
