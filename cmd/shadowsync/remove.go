package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
)

type removeOptions struct{ force, purge, keepConfig, onlyShells, onlyPage, dryRun bool }

func newRemove(a *app) *cobra.Command {
	var o removeOptions
	c := &cobra.Command{
		Use:   "remove",
		Short: "Undo setup: PAM lines first, then guards, hooks and daemon",
		Long: "Removes what setup wrote. What somebody changed since stays and is named.\n" +
			"The state stays, with the embedded credential store, and the lists of accounts that\n" +
			"operators created, unless --purge deletes them. No account is removed: those whose\n" +
			"shell is pcli get the one they had before, or pcli.removed_shell.",
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if o.purge && (o.keepConfig || o.onlyShells || o.onlyPage) {
				return usageError(c, errors.New("--purge excludes --keep-config, --only-shells and --only-page"))
			}
			return runRemove(c.Context(), a, o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.force, "force", false, "even while changes wait for their store, which they then never reach")
	f.BoolVar(&o.purge, "purge", false, "delete the state too, with the embedded credential store, and the lists of accounts")
	f.BoolVar(&o.keepConfig, "keep-config", false, "leave the configuration, also if setup wrote it, for a later setup")
	f.BoolVar(&o.onlyShells, "only-shells", false, "give accounts with the shell pcli the one they had before, and remove nothing")
	f.BoolVar(&o.onlyPage, "only-page", false, "take the page for browsers away, and leave the rest and the configuration")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be done, and do nothing")
	return c
}

func runRemove(ctx context.Context, a *app, o removeOptions) error {
	if a.uid != 0 {
		return fmt.Errorf("cannot remove: %w", notRootError{})
	}
	stop := a.progress("Removing")
	result, err := setup.Remove(ctx, setup.RemoveOptions{Root: a.root, Config: a.config, Force: o.force, Purge: o.purge, KeepConfig: o.keepConfig, OnlyShells: o.onlyShells, OnlyPage: o.onlyPage, DryRun: o.dryRun})
	stop()
	result.Failed = err != nil
	return errors.Join(a.showSteps(result), err, a.advise(err), a.recordWiring(ctx, "remove", result, err))
}
