package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// runHook runs a hook. If neither the state nor a new one can be used, for example on a full disk,
// it works on a copy of the state: a change that passwd reported as queued must reach the store
// before the application starts.
func runHook(ctx context.Context, a *app, o hookOptions) error {
	ctx, cancel := o.kind.Bound(ctx)
	defer cancel()
	if o.again {
		if err := firstTry().decided(); err != nil {
			return err
		}
	}
	err := runHookOnce(ctx, a, o)
	for errors.Is(err, hook.ErrOutdated) {
		err = runHookOnce(ctx, a, o)
	}
	return err
}

func runHookOnce(ctx context.Context, a *app, o hookOptions) error {
	run := func(e *engine.Engine) error {
		if _, err := unitOf(e.Config, o.unit); err != nil {
			return err
		}
		var units hook.Units
		if !a.mounted() {
			units = &systemd.Bus{}
		}
		err := hook.Run(ctx, e, units, o.kind, o.unit)
		if o.again && !errors.Is(err, hook.ErrOutdated) {
			err = errors.Join(err, recordAgain(ctx, e, o, err))
		}
		return err
	}
	err := a.mending(ctx, run)
	if errors.Is(err, state.ErrReplaced) { // another process has recreated the state meanwhile
		err = a.mending(ctx, run)
	}
	if err == nil || errors.As(err, new(*hook.NotSettledError)) || errors.Is(err, errNoApplication) || errors.Is(err, hook.ErrOutdated) || ctx.Err() != nil {
		return err
	}
	volatile, failed := a.options()
	if failed != nil {
		return failed
	}
	volatile.Volatile = true
	failed = engine.Mending(ctx, volatile, run)
	if errors.Is(failed, state.ErrReplaced) { // another process has recreated the state, so it is usable again
		return a.mending(ctx, run)
	}
	if failed != nil {
		return errors.Join(err, failed)
	}
	fmt.Fprintf(a.err, "shadowsync: %s; went on without it\n", oneLine(err.Error()))
	return nil
}
