package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type syncOptions struct {
	accounts []string // none: all
	dryRun   bool
	prefer   string // os, store or empty
}

func newSync(a *app) *cobra.Command {
	var o syncOptions
	c := &cobra.Command{
		Use:   "sync [ACCOUNT...]",
		Short: "Bring OS and store together now, or settle a conflict",
		Long: "Does now what the daemon and the hooks do by themselves. --prefer settles what is in\n" +
			"conflict: for the named accounts, or for all where none is named. The value that\n" +
			"loses stays in the history.",
		Example:           "  shadowsync sync\n  shadowsync sync --dry-run\n  shadowsync sync admin --prefer os",
		ValidArgsFunction: a.completeAccounts(0),
		RunE: func(c *cobra.Command, names []string) error {
			o.accounts = names
			if o.side() == shadowsync.Neither && c.Flags().Changed("prefer") {
				return usageError(c, fmt.Errorf("--prefer %s: must be os or store", o.prefer))
			}
			return runSync(c.Context(), a, o)
		},
	}
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "print what would be done, and do nothing")
	c.Flags().StringVar(&o.prefer, "prefer", "", "the `side` that wins a conflict: os or store")
	completeFixed(c, "prefer", "os", "store")
	return c
}

func (o syncOptions) side() shadowsync.Side {
	switch side := shadowsync.Side(o.prefer); side {
	case shadowsync.OSSide, shadowsync.StoreSide:
		return side
	}
	return shadowsync.Neither
}

// syncResult is the object that `sync --json` prints.
type syncResult struct {
	DryRun       bool              `json:"dry_run"`
	Applications []syncApplication `json:"applications"`
}

type syncApplication struct {
	Name     string        `json:"name"`
	Unit     string        `json:"unit"`
	Accounts []syncAccount `json:"accounts"`
}

type syncAccount struct {
	Name        string                 `json:"name"`
	State       shadowsync.ChangeState `json:"state"`
	Reason      *string                `json:"reason"`
	Action      shadowsync.Verdict     `json:"action"`
	WritesOS    bool                   `json:"writes_os"`
	WritesStore bool                   `json:"writes_store"`
	OSFormat    string                 `json:"os_format,omitempty"`
	StoreFormat string                 `json:"store_format,omitempty"`
}

func runSync(ctx context.Context, a *app, o syncOptions) error {
	return a.with(ctx, func(e *engine.Engine) error {
		parts, err := selected(e.Config, o.accounts)
		if err != nil {
			return err
		}
		result := syncResult{DryRun: o.dryRun}
		var errs []error
		for _, part := range parts {
			report, err := a.syncOne(ctx, e, part, o)
			report.Outcomes = part.of(report)
			// One application's fault does not hide another's result.
			errs = append(errs, err, a.outcomeError(report))
			result.add(part, report.Outcomes)
		}
		return errors.Join(append(errs, a.showSync(result))...)
	})
}

func (a *app) syncOne(ctx context.Context, e *engine.Engine, s selection, o syncOptions) (shadowsync.Report, error) {
	req := shadowsync.Request{Origin: noticed(), DryRun: o.dryRun, Force: true}
	req.Evidence.Prefer = o.side()
	if !s.all {
		req.Only = s.accounts
	}
	if req.Evidence.Prefer != shadowsync.Neither && !o.dryRun {
		if err := recordPreference(ctx, e, s, o); err != nil {
			return shadowsync.Report{}, err
		}
	}
	stop := a.progress("Reconciling " + s.application.Name)
	report, err := e.Reconcile(ctx, s.application.Name, req)
	stop()
	if err != nil || o.dryRun {
		return report, err
	}
	return report, a.endSessions(ctx, e, s.application)
}

// of are a report's outcomes for the selected accounts; none if there is no report.
func (s selection) of(report shadowsync.Report) []shadowsync.Outcome {
	var outcomes []shadowsync.Outcome
	for _, o := range report.Outcomes {
		if s.all || slices.Contains(s.accounts, o.Account) {
			outcomes = append(outcomes, o)
		}
	}
	return outcomes
}

// recordPreference puts on record who decided, for the change itself may have
// been somebody else's.
func recordPreference(ctx context.Context, e *engine.Engine, s selection, o syncOptions) error {
	event := shadowsync.Event{Application: s.application.Name, Action: "preferred", Winner: o.prefer, Origin: ourselves(e)}
	event.At = event.Origin.At
	if s.all {
		return e.Record(ctx, event)
	}
	var events []shadowsync.Event
	for _, name := range s.accounts {
		event.Account = name
		events = append(events, event)
	}
	return e.Record(ctx, events...)
}

// outcomeError is what a report's outcomes mean for the exit status. They are
// shown already, unless nothing but errors is.
func (a *app) outcomeError(report shadowsync.Report) error {
	shown := told
	if a.quiet {
		shown = func(err error) error { return err }
	}
	var conflicts []shadowsync.Outcome
	var waiting []string
	for _, o := range report.Outcomes {
		switch {
		case o.State == shadowsync.InSync, agree(o):
		case o.State == shadowsync.Conflict:
			conflicts = append(conflicts, o)
		default:
			waiting = append(waiting, o.Account)
		}
	}
	switch {
	case len(conflicts) > 0:
		return shown(conflictOf(conflicts...))
	case len(waiting) > 0:
		return shown(&pendingError{waiting})
	case report.Fault != nil: // the OS holds what was agreed on last; what the store holds, nobody knows
		return faultError(report.Fault)
	}
	return nil
}

// conflictOf is the conflict of several accounts: what helps is what helps all of them.
func conflictOf(outcomes ...shadowsync.Outcome) *conflictError {
	e := &conflictError{refused: true, malformed: true, choices: []shadowsync.Side{shadowsync.OSSide, shadowsync.StoreSide}}
	for _, o := range outcomes {
		e.accounts = append(e.accounts, o.Account)
		e.refused = e.refused && o.Verdict == shadowsync.VerdictRefused
		e.malformed = e.malformed && o.Malformed
		e.choices = slices.DeleteFunc(e.choices, func(s shadowsync.Side) bool { return !slices.Contains(o.Choices, s) })
	}
	return e
}

func faultError(f *shadowsync.StoreFault) error {
	kind := shadowsync.ErrUnavailable
	if f.Malformed {
		kind = errors.Join(errConflict, shadowsync.ErrMalformed)
	}
	return mark(fmt.Errorf("cannot compare with the store: %s", f.Reason), kind)
}

func (r *syncResult) add(s selection, outcomes []shadowsync.Outcome) {
	application := syncApplication{Name: s.application.Name, Unit: s.application.Unit, Accounts: []syncAccount{}}
	for _, o := range outcomes {
		account := syncAccount{Name: o.Account, State: o.State, Action: o.Verdict, WritesOS: o.WritesOS, WritesStore: o.WritesDB}
		if o.Reason != "" {
			account.Reason = &o.Reason
		}
		if o.OS != nil {
			account.OSFormat = formatOf(o.OS.Hash)
		}
		if o.Store != nil {
			account.StoreFormat = formatOf(o.Store.Hash)
		}
		application.Accounts = append(application.Accounts, account)
	}
	r.Applications = append(r.Applications, application)
}

func (a *app) showSync(r syncResult) error {
	if a.json {
		return a.printJSON(r)
	}
	rows := [][]string{{"ACCOUNT", "RESULT", "OS", "STORE", "REASON"}}
	if r.DryRun {
		rows[0][1] = "PLAN"
	}
	for _, application := range r.Applications {
		for _, account := range application.Accounts {
			rows = append(rows, account.row(r.DryRun))
		}
	}
	return a.table("", rows)
}

func (s syncAccount) row(plan bool) []string {
	wrote := "wrote "
	if plan {
		wrote = "write "
	}
	row := []string{s.Name, string(s.Action), s.OSFormat, s.StoreFormat, ""}
	if s.WritesOS {
		row[2] = wrote + row[2]
	}
	if s.WritesStore {
		row[3] = wrote + row[3]
	}
	if s.Reason != nil {
		row[4] = *s.Reason
	}
	return row
}
