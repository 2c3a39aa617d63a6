package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/printable"
	past "github.com/shadowsync/shadowsync/internal/since"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type auditOptions struct {
	account string
	since   time.Time
	verify  bool
}

func newAudit(a *app) *cobra.Command {
	var o auditOptions
	var since string
	c := &cobra.Command{
		Use:   "audit",
		Short: "Print the audit trail, oldest first, or verify it",
		Long: "Prints who did what, when, from where, how it was seen, and what became of it; also what\n" +
			"was refused and what failed. Of others than root it is the daemon that hears what they\n" +
			"tried; without it that is not on record. No password and no hash is ever in it.\n\n" +
			"--verify checks the trail's hash chain instead: it finds a record that was altered,\n" +
			"removed or cut off. It proves nothing against root, who can write the trail and\n" +
			"recompute the whole chain. The journal holds a copy of every record:\n" +
			"  journalctl SYSLOG_IDENTIFIER=shadowsync\n" +
			"and can be sealed so that not even root can alter what is past, once\n" +
			"  journalctl --setup-keys\n" +
			"was run and its verification key is kept elsewhere (journalctl --verify --verify-key=).\n\n" +
			"Records are kept for good, or for the configuration's audit.keep_days. trim removes\n" +
			"older ones, as the daemon does once a day; a record names the cut, and the chain stays\n" +
			"verifiable.",
		Example: "  shadowsync audit --user admin --since 1d\n  shadowsync audit --verify",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("since") {
				t, err := past.Parse(since, time.Now())
				if err != nil {
					return usageError(c, fmt.Errorf("--since: %w", err))
				}
				o.since = t
			}
			return runAudit(c.Context(), a, o)
		},
	}
	c.AddCommand(newAuditTrim(a))
	c.Flags().StringVar(&o.account, "user", "", "only what concerns account `name`")
	c.Flags().StringVar(&since, "since", "", "only from `time` on: a date, RFC 3339, or how long ago (45m, 1d, 1mo)")
	c.Flags().BoolVar(&o.verify, "verify", false, "check that no record was altered or removed")
	_ = c.RegisterFlagCompletionFunc("user", a.completeAccounts(0)) // the flag exists
	return c
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
	Bad    *int64  `json:"bad"` // the first record that is not as it was written
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
			a.say("Everything is kept: audit.keep_days is not set")
			return nil
		}
		a.say("%d records older than %d days removed", n, e.Config.Audit.KeepDays)
		return nil
	})
}

func runAudit(ctx context.Context, a *app, o auditOptions) error {
	return a.with(ctx, func(e *engine.Engine) error {
		if o.verify {
			return a.verifyAudit(ctx, e.State)
		}
		query := state.Query{Since: o.since, Account: o.account}
		if a.json {
			return a.auditJSON(ctx, e.State, query)
		}
		for record, err := range e.State.Audit(ctx, query) {
			if err != nil {
				return err
			}
			a.say("%s", auditLine(record.Event))
		}
		return nil
	})
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
	a.say("%d records are good", n)
	if err != nil {
		return fmt.Errorf("cannot vouch for the audit trail: %w", err)
	}
	return nil
}

// auditRecord is a record as `audit --json` prints it.
type auditRecord struct {
	Seq int64 `json:"seq"`
	shadowsync.Event
}

// auditJSON prints one object, a record a line, as the records come: the trail may
// be longer than what fits into memory. An error on the way ends the object whole.
func (a *app) auditJSON(ctx context.Context, db *state.DB, query state.Query) error {
	next, end := "{\"events\": [\n", "]}\n"
	var failed error
	for record, err := range db.Audit(ctx, query) {
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

// auditLine is a record for people. The columns are of fixed width, for the trail is
// printed as it is read.
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
