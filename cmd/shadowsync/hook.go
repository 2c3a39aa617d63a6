package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/hook"
)

type hookOptions struct {
	kind hook.Kind
	unit string
}

func newHook(a *app) *cobra.Command {
	var o hookOptions
	kinds := make([]string, len(hook.Kinds))
	for i, k := range hook.Kinds {
		kinds[i] = string(k)
	}
	c := &cobra.Command{
		Use:       "hook MOMENT --unit UNIT",
		Short:     "Run around a start or stop of an application, by systemd",
		Args:      exactly(1),
		ValidArgs: kinds,
		RunE: func(c *cobra.Command, given []string) error {
			o.kind = hook.Kind(given[0])
			if !slices.Contains(hook.Kinds, o.kind) {
				return usageError(c, fmt.Errorf("%q is no moment: it is one of %v", given[0], kinds))
			}
			if o.unit == "" {
				return usageError(c, fmt.Errorf("--unit is missing"))
			}
			return runHook(c.Context(), a, o)
		},
	}
	c.Flags().StringVar(&o.unit, "unit", "", "the application's `unit`")
	_ = c.RegisterFlagCompletionFunc("unit", a.completeUnits) // the flag exists
	return c
}

func runHook(ctx context.Context, a *app, o hookOptions) error {
	return a.with(ctx, func(e *engine.Engine) error {
		if _, err := unitOf(e.Config, o.unit); err != nil {
			return err
		}
		return hook.Run(ctx, e, o.kind, o.unit)
	})
}
