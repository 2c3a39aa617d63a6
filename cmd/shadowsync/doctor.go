package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/admin/doctor"
)

var (
	errMountedDoctor = errors.New("it looks at the running system: run it there")
	errFindings      = errors.New("the wiring has faults")
)

func newDoctor(a *app) *cobra.Command {
	var fix bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check the whole wiring, and say how to fix each fault",
		Long: "Checks every part that handles a changed password, down to a real change on\n" +
			"a scratch PAM stack, and names the command that fixes each fault. A check changes\n" +
			"nothing, but replaces the shadow file and each store by an equal copy, as a test;\n" +
			"--fix fixes what needs no decision. Exits with 1 while a check fails.",
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return runDoctor(c.Context(), a, fix) },
	}
	c.Flags().BoolVar(&fix, "fix", false, "fix what needs no decision")
	return c
}

func runDoctor(ctx context.Context, a *app, fix bool) error {
	switch {
	case a.uid != 0:
		return fmt.Errorf("cannot look at the wiring: %w", notRootError{})
	case a.mounted():
		return fmt.Errorf("cannot look at the wiring of %s: %w", a.root, errMountedDoctor)
	}
	stop := a.progress("Checking the wiring")
	result, err := doctor.Run(ctx, doctor.Options{Config: a.config, Binary: installedAt, Fix: fix})
	stop()
	for i := range result.Checks {
		result.Checks[i].Fix = a.named(result.Checks[i].Fix)
	}
	if a.json {
		err = errors.Join(err, a.printJSON(result))
	} else {
		err = errors.Join(err, a.sayLines(result.Label(), result.Print))
	}
	if err == nil && result.Count(doctor.Fail) > 0 {
		return told(errFindings)
	}
	return err
}
