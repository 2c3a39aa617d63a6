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
		Long: "Prints who changed what, when and how it was seen, and what became of it. --verify\n" +
			"checks the trail's hash chain instead. Whoever may write the trail can recompute the\n" +
			"chain; the journal holds a copy: journalctl SYSLOG_IDENTIFIER=shadowsync",
		Example: "  shadowsync audit --user admin --since 1d\n  shadowsync audit --verify",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("since") {
				t, err := parseSince(since, time.Now())
				if err != nil {
					return usageError(c, fmt.Errorf("--since: %w", err))
				}
				o.since = t
			}
			return runAudit(c.Context(), a, o)
		},
	}
	c.Flags().StringVar(&o.account, "user", "", "only what concerns account `name`")
	c.Flags().StringVar(&since, "since", "", "only from `time` on: a date, RFC 3339, or how long ago (45m, 1d, 1mo)")
	c.Flags().BoolVar(&o.verify, "verify", false, "check that no record was altered or removed")
	_ = c.RegisterFlagCompletionFunc("user", a.completeAccounts(0)) // the flag exists
	return c
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
		object := map[string]any{"good": n, "bad": nil, "reason": nil}
		if broken != nil {
			object["bad"], object["reason"] = broken.Seq, broken.Reason
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
// be longer than what fits into memory.
func (a *app) auditJSON(ctx context.Context, db *state.DB, query state.Query) error {
	if _, err := io.WriteString(a.out, `{"events": [`); err != nil {
		return err
	}
	separator := "\n"
	for record, err := range db.Audit(ctx, query) {
		if err != nil {
			return err
		}
		text, err := jsonText(auditRecord{record.Seq, record.Event}, "")
		if err != nil {
			return err
		}
		if _, err := io.WriteString(a.out, separator+strings.TrimSpace(string(text))); err != nil {
			return err
		}
		separator = ",\n"
	}
	_, err := io.WriteString(a.out, "\n]}\n")
	return err
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
	if e.Origin.SeenBy != "" {
		tail = append(tail, who(e.Origin))
	}
	if e.Reason != "" {
		tail = append(tail, "- "+e.Reason)
	}
	return fmt.Sprintf("%s  %-12s  %-14s  %s", clock(e.At), printable.Quote(subject), printable.Quote(e.Action), strings.Join(tail, " "))
}
