package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/engine/hook"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/systemd"
)

type hookOptions struct {
	kind  hook.Kind
	unit  string
	again bool
}

func newHook(a *app) *cobra.Command {
	var o hookOptions
	kinds := make([]string, len(hook.Kinds))
	for i, k := range hook.Kinds {
		kinds[i] = string(k)
	}
	c := &cobra.Command{
		Use:       "hook MOMENT --unit UNIT",
		Short:     "Run before or after an application starts or stops (systemd does that)",
		Args:      exactly(1),
		ValidArgs: kinds,
		RunE: func(c *cobra.Command, given []string) error {
			o.kind = hook.Kind(given[0])
			if !slices.Contains(hook.Kinds, o.kind) {
				return usageError(c, fmt.Errorf("unknown moment %q: use one of %v", given[0], kinds))
			}
			if o.unit == "" {
				return usageError(c, fmt.Errorf("--unit is missing"))
			}
			return runHook(c.Context(), a, o)
		},
	}
	c.Flags().StringVar(&o.unit, "unit", "", "the application's `unit`")
	c.Flags().BoolVar(&o.again, "again", false, "second try, after the hook's own unit has failed")
	_ = c.RegisterFlagCompletionFunc("unit", a.completeUnits) // the flag exists
	return c
}

// A hook that must run again waits, at first for a moment: the cause may last, like a program that
// replaces the state again and again. After the last pause it works on a copy of the state.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 640 * time.Millisecond
	goodRun    = 10 * time.Second // then the next cause is another one
)

// runHook runs a hook, again and again with a new engine while it must.
func runHook(ctx context.Context, a *app, o hookOptions) error {
	ctx, cancel := o.kind.Bound(ctx)
	defer cancel()
	if o.again {
		if err := firstTry().decided(); err != nil {
			return err
		}
	}
	return repeated(ctx, func(last bool) error { return runHookOnce(ctx, a, o, last) })
}

// repeated runs a hook until it need not run again. Last: it must do without the state if that is
// replaced once more.
func repeated(ctx context.Context, run func(last bool) error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		begun := time.Now()
		err := run(pause == lastPause)
		if !hook.Again(err) {
			return err
		}
		if time.Since(begun) > goodRun {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// runHookOnce runs a hook with one engine. If neither the state nor a new one can be used, for
// example on a full disk, it works on a copy of the state: a change that passwd reported as queued
// must reach the store before the application starts.
func runHookOnce(ctx context.Context, a *app, o hookOptions, last bool) error {
	run := func(e *engine.Engine) error {
		if _, err := unitOf(e.Config, o.unit); err != nil {
			return err
		}
		var units hook.Units
		if !a.mounted() {
			units = &systemd.Bus{}
		}
		err := hook.Run(ctx, e, units, o.kind, o.unit)
		if o.again && !hook.Again(err) {
			err = errors.Join(err, recordAgain(ctx, e, o, err))
		}
		return err
	}
	err := a.mending(ctx, run)
	switch {
	case err == nil || errors.As(err, new(*hook.NotSettledError)) || errors.Is(err, errNoApplication) || ctx.Err() != nil:
		return err
	case hook.Again(err) && !(last && errors.Is(err, state.ErrReplaced)):
		return err
	}
	volatile, failed := a.options()
	if failed != nil {
		return failed
	}
	volatile.Volatile = true
	failed = engine.Mending(ctx, volatile, run)
	switch {
	case hook.Again(failed): // for example, the state itself has its content again
		return failed
	case failed != nil:
		return errors.Join(err, failed)
	}
	fmt.Fprintf(a.err, "shadowsync: %s; went on without it\n", oneLine(err.Error()))
	return nil
}
