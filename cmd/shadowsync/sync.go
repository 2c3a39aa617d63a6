package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type syncOptions struct {
	accounts    []string // empty: all
	application string   // its name or unit; empty: all
	dryRun      bool
	prefer      string // os, store or empty
}

func newSync(a *app) *cobra.Command {
	var o syncOptions
	c := &cobra.Command{
		Use:   "sync [ACCOUNT...]",
		Short: "Bring OS and store together now, or settle a conflict",
		Long: "Does now what the daemon and the hooks do by themselves. --prefer settles what is in\n" +
			"conflict: for the named accounts, or for all where none is named. The value that\n" +
			"loses stays in the history. With --application, the store of one application alone counts.",
		Example:           "  shadowsync sync\n  shadowsync sync --dry-run\n  shadowsync sync admin --prefer os\n  shadowsync sync admin --application portal.cache --prefer store",
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
	c.Flags().StringVar(&o.application, "application", "", "only this application; `name` is its name or its unit"+otherStores)
	_ = c.RegisterFlagCompletionFunc("application", a.completeApplications) // the flag exists
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
	open := a.mending
	if o.dryRun {
		open = a.with
	}
	return open(ctx, func(e *engine.Engine) error {
		parts, unknown := filter{names: o.accounts, application: o.application}.parts(e.Config)
		if len(parts) == 0 {
			return unknown
		}
		result := syncResult{DryRun: o.dryRun}
		errs := []error{unknown} // an unknown name does not stop the other accounts
		reports := make([]shadowsync.Report, len(parts))
		for i, part := range parts {
			var err error
			reports[i], err = a.syncOne(ctx, e, part, o)
			errs = append(errs, err)
		}
		if !o.dryRun {
			errs = append(errs, a.passOn(ctx, e, parts, reports))
		}
		for i, part := range parts {
			reports[i].Outcomes = part.of(reports[i])
			// An application's fault must not hide another's result.
			errs = append(errs, a.outcomeError(reports[i]))
			result.add(part, reports[i].Outcomes)
		}
		return errors.Join(append(errs, a.showSync(result))...)
	})
}

// passOn brings what one store has changed on the OS side to the other stores of its application. The
// reports then say what became of the accounts in the end.
func (a *app) passOn(ctx context.Context, e *engine.Engine, parts []selection, reports []shadowsync.Report) error {
	var errs []error
	done := map[string]bool{}
	for i, part := range parts {
		holders := e.Config.Holders(part.application)
		wrote := slices.ContainsFunc(reports[i].Outcomes, func(o shadowsync.Outcome) bool { return o.WritesOS })
		if !wrote || len(holders) < 2 || done[part.application.Unit] {
			continue
		}
		done[part.application.Unit] = true
		later, err := e.EachStore(ctx, part.application.Name, func(h config.Application) (shadowsync.Report, error) {
			return e.Reconcile(ctx, h.Name, shadowsync.Request{Origin: noticed(), Force: true})
		})
		errs = append(errs, err)
		for k, of := range parts {
			at := slices.IndexFunc(holders, func(h config.Application) bool { return h.Name == of.application.Name })
			if at >= 0 && err == nil {
				reports[k] = withLater(reports[k], later[at])
			}
		}
	}
	return errors.Join(errs...)
}

// withLater is a report with what a later one of the same store did besides.
func withLater(before, after shadowsync.Report) shadowsync.Report {
	find := after.Finder()
	before.Fault = after.Fault
	for i, o := range before.Outcomes {
		if now, known := find(o.Account); known && (now.Verdict != shadowsync.VerdictNothing || now.State != o.State) {
			before.Outcomes[i] = now
		}
	}
	return before
}

func (a *app) syncOne(ctx context.Context, e *engine.Engine, s selection, o syncOptions) (shadowsync.Report, error) {
	req := shadowsync.Request{Origin: noticed(), DryRun: o.dryRun, Force: true}
	req.Evidence.Prefer = o.side()
	if req.Evidence.Prefer != shadowsync.Neither {
		req.SettledBy = person(ourselves(e))
	}
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

// of returns a report's outcomes for the selected accounts, or none without a report.
func (s selection) of(report shadowsync.Report) []shadowsync.Outcome {
	var outcomes []shadowsync.Outcome
	for _, o := range report.Outcomes {
		if s.all || slices.Contains(s.accounts, o.Account) {
			outcomes = append(outcomes, o)
		}
	}
	return outcomes
}

// recordPreference audits who made the decision: somebody else may have made the change.
func recordPreference(ctx context.Context, e *engine.Engine, s selection, o syncOptions) error {
	event := shadowsync.Event{Application: s.application.Name, Action: "preferred", Winner: o.prefer, Origin: ourselves(e)}
	event.At = event.Origin.At
	if s.all {
		return e.Audit(ctx, event)
	}
	var events []shadowsync.Event
	for _, name := range s.accounts {
		event.Account = name
		events = append(events, event)
	}
	return e.Audit(ctx, events...)
}

// outcomeError turns a report's outcomes into the error for the exit status. They are already
// printed, unless --quiet is given.
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
	case report.Fault != nil: // the OS is unchanged, but the store's content is unknown
		return faultError(report.Fault)
	}
	return nil
}

// conflictOf joins the conflicts of several accounts: it offers only what helps all of them.
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
			account.StoreFormat = storeFormat(o.Scheme, o.Store.Hash)
		}
		application.Accounts = append(application.Accounts, account)
	}
	r.Applications = append(r.Applications, application)
}

func (a *app) showSync(r syncResult) error {
	if a.json {
		return a.printJSON(r)
	}
	columns := []table.Column{{Head: "ACCOUNT"}, {Head: "RESULT"}, {Head: "OS", Wrap: true}, {Head: "STORE", Wrap: true}, {Head: "REASON", Wrap: true}}
	if r.DryRun {
		columns[1].Head = "PLAN"
	}
	var rows [][]string
	for _, application := range r.Applications {
		for _, account := range application.Accounts {
			rows = append(rows, account.row(r.DryRun))
		}
	}
	return a.table("", columns, rows)
}

// equal reports whether both sides already hold the same value. A run records that, and may write the
// store's value once more, unchanged, to be sure that it lasts.
func (s syncAccount) equal() bool {
	return s.Action == shadowsync.VerdictAgree || s.Action == shadowsync.VerdictBaseline && !s.WritesOS && !s.WritesStore
}

func (s syncAccount) row(plan bool) []string {
	wrote := "wrote "
	if plan {
		wrote = "write "
	}
	row := []string{s.Name, string(s.Action), s.OSFormat, s.StoreFormat, ""}
	if plan && s.equal() {
		row[1] = string(shadowsync.InSync)
		return row
	}
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
