package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	past "github.com/shadowsync/shadowsync/internal/term/since"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type auditOptions struct {
	state.Query
	verify bool
}

// check refuses options that contradict each other.
func (o auditOptions) check(tail bool) error {
	switch {
	case tail && o.Limit < 1:
		return errors.New("--tail must be at least 1")
	case !o.Since.IsZero() && !o.Until.IsZero() && o.Since.After(o.Until):
		return errors.New("--since is later than --until")
	case o.verify && o.Query != state.Query{}:
		return errors.New("--verify checks the whole trail: leave out the options that select records")
	}
	return nil
}

func newAudit(a *app) *cobra.Command {
	var o auditOptions
	c := &cobra.Command{
		Use:   "audit",
		Short: "Print the audit trail, oldest first, or verify it",
		Long: "Prints who did what, when, from where, how it was seen, and the result; also what was\n" +
			"refused and what failed. Attempts of users other than root are recorded only while the\n" +
			"daemon runs. The trail never contains a password or a hash.\n\n" +
			"A time is a date, RFC 3339, a time of today (10:00), yesterday, \"yesterday 10:00\", or how\n" +
			"long ago (45m, 1d, 1mo, \"2 hours ago\"). A date alone is the time when that day begins.\n\n" +
			"--verify checks the trail's hash chain instead: it finds a record that was altered,\n" +
			"removed or cut off. It does not protect against root, who can write the trail and\n" +
			"recompute the whole chain. The journal holds a copy of every record:\n" +
			"  journalctl SYSLOG_IDENTIFIER=shadowsync\n" +
			"To seal it so that not even root can alter what is past, run\n" +
			"  journalctl --setup-keys\n" +
			"and keep its verification key elsewhere (journalctl --verify --verify-key=).\n\n" +
			"Records are kept for good, or for the configuration's audit.keep_days. trim removes\n" +
			"older ones, as the daemon does once a day; a record names the cut, and the chain stays\n" +
			"verifiable.\n\n" +
			"What the actions mean:\n" + actionsHelp(),
		Example: "  shadowsync audit --user admin --since 1d\n  shadowsync audit --since yesterday --until today --by root\n" +
			"  shadowsync audit --action alarm --tail 5\n  shadowsync audit --verify",
		Args: exactly(0),
	}
	c.AddCommand(newAuditTrim(a))
	flags := c.Flags()
	flags.StringVar(&o.Account, "user", "", "only records about account `name`")
	flags.StringVar(&o.Application, "application", "", "only records about this application; `name` is its name or its unit"+otherStores)
	flags.StringVar(&o.Action, "action", "", "only this `action`: adopted, conflict, alarm, ...")
	flags.StringVar(&o.By, "by", "", "only what `user` did, also through sudo or su")
	since := flags.String("since", "", "only from `time` on")
	until := flags.String("until", "", "only up to `time`, including that second")
	flags.IntVar(&o.Limit, "tail", 0, "only the newest `N` of these records")
	flags.BoolVar(&o.verify, "verify", false, "check that no record was altered or removed")
	_ = c.RegisterFlagCompletionFunc("user", a.completeAccounts(0)) // the flags exist
	_ = c.RegisterFlagCompletionFunc("application", a.completeApplications)
	_ = c.RegisterFlagCompletionFunc("action", a.completeAudit(func(actions, _ []string) []string { return actions }))
	_ = c.RegisterFlagCompletionFunc("by", a.completeAudit(func(_, people []string) []string { return people }))
	c.RunE = func(c *cobra.Command, _ []string) error {
		err := errors.Join(pastFlag(c, "since", *since, &o.Since), pastFlag(c, "until", *until, &o.Until))
		if !o.Until.IsZero() { // printed times have no fraction
			o.Until = o.Until.Truncate(time.Second).Add(time.Second - time.Millisecond)
		}
		if err = cmp.Or(err, o.check(c.Flags().Changed("tail"))); err != nil {
			return usageError(c, err)
		}
		return runAudit(c.Context(), a, o)
	}
	return c
}

// pastFlag reads the flag's time, if it was given.
func pastFlag(c *cobra.Command, flag, text string, to *time.Time) error {
	if !c.Flags().Changed(flag) {
		return nil
	}
	t, err := past.Parse(text, time.Now())
	if err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	*to = t
	return nil
}

func newAuditTrim(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "trim", Short: "Remove records that are older than the configuration keeps", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return runAuditTrim(c.Context(), a) },
	}
}

// trimmed is the object that `audit trim --json` prints.
type trimmed struct {
	Removed  int `json:"removed"`
	KeepDays int `json:"keep_days"`
}

// verified is the object that `audit --verify --json` prints.
type verified struct {
	Good   int     `json:"good"`
	Bad    *int64  `json:"bad"` // the first altered record
	Reason *string `json:"reason"`
}

func runAuditTrim(ctx context.Context, a *app) error {
	return a.with(ctx, func(e *engine.Engine) error {
		origin := ourselves(e)
		origin.Verb = "audit trim"
		n, err := e.TrimAudit(ctx, origin)
		if err != nil {
			return a.record(ctx, e, "audit trim", shadowsync.Event{}, fmt.Errorf("cannot trim the audit trail: %w", err))
		}
		if a.json {
			return a.printJSON(trimmed{Removed: n, KeepDays: e.Config.Audit.KeepDays})
		}
		if e.Config.Audit.KeepDays == 0 {
			a.tell("Everything is kept: audit.keep_days is not set")
			return nil
		}
		a.tell("%s older than %s removed", plural.Count(n, "record"), plural.Count(e.Config.Audit.KeepDays, "day"))
		return nil
	})
}

func runAudit(ctx context.Context, a *app, o auditOptions) error {
	return a.with(ctx, func(e *engine.Engine) error {
		if o.verify {
			return a.verifyAudit(ctx, e.State)
		}
		if a, managed := e.Config.Named(o.Application); managed {
			o.Application = a.Name // its unit may have been named
		}
		if err := knownTo(ctx, e, o.Query); err != nil {
			return err
		}
		return a.paged(ctx, func(ctx context.Context) error {
			if a.json {
				return a.auditJSON(ctx, e.State, o.Query)
			}
			for record, err := range e.State.Trail(ctx, o.Query) {
				if err != nil {
					return err
				}
				a.tell("%s", auditLine(record.Event))
			}
			return nil
		})
	})
}

// knownTo returns an error for an account or an application that neither the configuration nor any
// record names: the name is mistyped. The trail of what was managed before is still shown.
func knownTo(ctx context.Context, e *engine.Engine, q state.Query) error {
	if _, managed := e.Config.Managing(q.Account); !managed && q.Account != "" && !recorded(ctx, e, state.Query{Account: q.Account}) {
		return fmt.Errorf("%w, and no audit record is about it", &config.UnmanagedError{Account: q.Account})
	}
	if _, there := e.Config.Named(q.Application); !there && q.Application != "" && !recorded(ctx, e, state.Query{Application: q.Application}) {
		return fmt.Errorf("%w, and no audit record is about it", &noApplicationError{q.Application})
	}
	return nil
}

// recorded reports whether the trail has such a record. An unreadable one may have.
func recorded(ctx context.Context, e *engine.Engine, q state.Query) bool {
	q.Limit = 1
	next, stop := iter.Pull2(e.State.Trail(ctx, q))
	defer stop()
	_, _, there := next()
	return there
}

// completeAudit offers what is in the newest records of the trail.
func (a *app) completeAudit(offer func(actions, people []string) []string) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		if known, err := a.hasState(); err != nil || !known || a.uid != 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		db, err := state.OpenIn(c.Context(), a.root, engine.StateDir)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer db.Close()
		actions, people, _ := db.Recent(c.Context()) // an unreadable trail offers nothing
		return offer(actions, people), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) verifyAudit(ctx context.Context, db *state.DB) error {
	n, err := db.Verify(ctx)
	var broken *state.ChainError
	if err != nil && !errors.As(err, &broken) {
		return err
	}
	if a.json {
		object := verified{Good: n}
		if broken != nil {
			object.Bad, object.Reason = &broken.Seq, &broken.Reason
		}
		return errors.Join(a.printJSON(object), err)
	}
	a.tell("%s %s good", plural.Count(n, "record"), plural.Form(n, "is", "are"))
	if err != nil {
		return fmt.Errorf("cannot confirm the audit trail: %w", err)
	}
	return nil
}

// auditRecord is a record as `audit --json` prints it.
type auditRecord struct {
	Seq int64 `json:"seq"`
	shadowsync.Event
}

// auditJSON prints one JSON object, one record per line, while it reads the records: the trail may
// be too long for memory. After a read error it still closes the object.
func (a *app) auditJSON(ctx context.Context, db *state.DB, query state.Query) error {
	next, end := "{\"events\": [\n", "]}\n"
	var failed error
	for record, err := range db.Trail(ctx, query) {
		var text []byte
		if err == nil {
			text, err = jsonText(auditRecord{record.Seq, record.Event}, "")
		}
		if failed = err; failed != nil {
			break
		}
		if _, err := io.WriteString(a.out, next+strings.TrimSpace(string(text))); err != nil {
			return fmt.Errorf("cannot print the audit trail: %w", err)
		}
		next, end = ",\n", "\n]}\n"
	}
	begun := next == ",\n"
	switch {
	case failed != nil && !begun:
		return failed
	case !begun:
		end = next + end
	}
	_, err := io.WriteString(a.out, end)
	return errors.Join(failed, err)
}

// auditLine formats a record for people. The columns have a fixed width because each line is
// printed as soon as it is read.
func auditLine(e shadowsync.Event) string {
	subject := e.Account
	if subject == "" {
		subject = e.Application
	}
	var tail []string
	if e.Result != "" && e.Result != shadowsync.InSync {
		tail = append(tail, string(e.Result))
	}
	if e.Winner != "" {
		tail = append(tail, e.Winner)
	}
	if e.Loser != "" {
		tail = append(tail, "over "+e.Loser)
	}
	if e.Origin.Verb != "" {
		tail = append(tail, e.Origin.Verb)
	}
	if e.Origin.SeenBy != "" {
		tail = append(tail, who(e.Origin))
	}
	if e.Reason != "" {
		tail = append(tail, "- "+e.Reason)
	}
	return fmt.Sprintf("%s  %-12s  %-14s  %s", clock(e.At), printable.Quote(subject), printable.Quote(e.Action), strings.Join(tail, " "))
}
