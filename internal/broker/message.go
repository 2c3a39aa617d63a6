package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/barrier"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// Message is what passwd prints about a change, before its own line: one line if all stores of the
// application have it, else a line for each that has not. The guard is the present one of the
// application's unit.
func Message(all []engine.Settled, guard systemd.GuardStatus) string {
	if engine.Worst(all).State != shadowsync.InSync || len(all) == 1 {
		var lines []string
		for _, s := range all {
			line := message(s.Holder, s.Outcome, guard, len(all) > 1)
			if (s.State != shadowsync.InSync || len(all) == 1) && !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n")
	}
	names, kept := make([]string, len(all)), true
	for i, s := range all {
		names[i] = s.Holder.Name + "'s"
		kept = kept && s.Verdict != shadowsync.VerdictApply
	}
	if !kept { // the rule is the application's, not a store's
		return message(all[0].Holder, shadowsync.Outcome{Account: all[0].Account, State: shadowsync.InSync, Verdict: shadowsync.VerdictApply}, guard, false)
	}
	last := len(names) - 1
	return fmt.Sprintf("shadowsync: %s: persisted in %s and %s credential stores", printable.Quote(all[0].Account), strings.Join(names[:last], ", "), names[last])
}

// message is the line about one store. several: the application has others, so that the line must name
// this one.
func message(a config.Application, o shadowsync.Outcome, guard systemd.GuardStatus, several bool) string {
	account, reason := printable.Quote(o.Account), printable.Quote(o.Reason)
	why, waits := o.NotInForce()
	if several && o.Verdict != shadowsync.VerdictRefused {
		reason = a.Name + ": " + strings.TrimPrefix(reason, "store: ")
	}
	switch {
	case o.State == shadowsync.InSync && o.Verdict == shadowsync.VerdictApply:
		return fmt.Sprintf("shadowsync: %s: NOT kept (the rule for this account prefers %s's credential store)", account, a.Name)
	case o.State == shadowsync.InSync:
		return fmt.Sprintf("shadowsync: %s: persisted in %s's credential store", account, a.Name)
	case o.State == shadowsync.Unproven || o.State == shadowsync.Changed: // something else than its password
		return fmt.Sprintf("shadowsync: %s: done; %s", account, reason)
	case o.State == shadowsync.Queued && o.Verdict == shadowsync.VerdictNeedsLogin:
		return fmt.Sprintf("shadowsync: %s: queued (the hash for %s takes longer); run shadowsync status", account, a.Name)
	case o.State == shadowsync.Queued:
		return queued(account, a.Unit)
	case o.Verdict == shadowsync.VerdictRefused:
		return fmt.Sprintf("shadowsync: %s: NOT persisted (%s refuses it: %s); choose another password", account, a.Name, reason)
	case o.State == shadowsync.Pending && waits:
		return fmt.Sprintf("shadowsync: %s: written to %s's credential store; NOT in force (%s); it is as soon as that works", account, a.Name, printable.Quote(why))
	case o.State == shadowsync.Pending && guard.For(o.Account, a.Further()):
		return fmt.Sprintf("shadowsync: %s: NOT persisted (%s); restart of %s is held until it is%s", account, reason, a.Unit, atMost(guard.Until, time.Now()))
	case o.State == shadowsync.Pending:
		return fmt.Sprintf("shadowsync: %s: NOT persisted (%s); it is as soon as the store takes it", account, reason)
	}
	return fmt.Sprintf("shadowsync: %s: NOT persisted (%s: %s); run shadowsync status", account, o.State, reason)
}

// atMost says when a guard ends by itself, in whole minutes, rounded up. It is empty for a guard
// without an end.
func atMost(until, now time.Time) string {
	if until.IsZero() {
		return ""
	}
	until, layout := until.Add(time.Minute-time.Nanosecond).Truncate(time.Minute), "15:04"
	if until.Local().YearDay() != now.Local().YearDay() {
		layout = "2006-01-02 15:04"
	}
	return " (at most until " + until.Local().Format(layout) + ")"
}

// keptOut lists what still prevents a login of the account in spite of its new password.
func (b *Broker) keptOut(account shadowsync.Account) string {
	observer, text := barrier.New("/", b.failures()), ""
	for _, b := range observer.Before(account, time.Now()) {
		text += "; " + b.String()
	}
	if others := observer.Sharing(account); len(others) > 0 {
		text += fmt.Sprintf("; its uid %d is also that of %s, whose sessions end too", account.UID, strings.Join(others, ", "))
	}
	return printable.Quote(text)
}

func says(text string) module.Answer { return module.Answer{Kind: module.Says, Text: text} }

// noted is the answer about a change that could not be recorded: the PAM module leaves a note of its
// own and reports what happens with it. It says more if the account's store has a fault: the hooks
// then keep the password in force, but no start of the application persists it.
func noted(account string, fault error) module.Answer {
	a := module.Answer{Kind: module.Notes}
	if fault != nil {
		a.Text = fmt.Sprintf("shadowsync: %s: NOT persisted (store: %s); it is as soon as the store takes it",
			printable.Quote(account), printable.Quote(shadowsync.Cause(fault)))
	}
	return a
}

// elsewhere is the message about an account that the configuration names and shadow(5) does not
// have.
func elsewhere(account string) string {
	return fmt.Sprintf("shadowsync: %s: NOT persisted (its password is not in /etc/shadow); run shadowsync status", printable.Quote(account))
}

func queued(account, unit string) string {
	return fmt.Sprintf("shadowsync: %s: queued (shadowsync did not answer in time); it is persisted before the next start of %s", account, unit)
}
