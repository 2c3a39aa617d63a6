// Package doctor checks the whole wiring of shadowsync on a running machine.
//
// Each check tells people what is wrong and names the command that repairs it. Checking changes
// nothing: the one real password change happens on a copy of /etc, to an account that exists only
// there, in a mount namespace that is then discarded. With Fix it repairs what needs no decision
// from the administrator, and checks again.
//
//	doctor.go     Run, and the result
//	verdict.go    the result of one check
//	exam.go       the list of checks, and the data that they share
//	host.go       clock, disk, locks, /etc/shadow, nsswitch.conf
//	records.go    configuration, state, audit
//	accounts.go   accounts, baselines, stores
//	waiting.go    what waits for a login
//	reload.go     servers that are reloaded after a write to their store
//	protected.go  accounts that amount to root
//	directory.go  local accounts that a directory has, too
//	factor.go     second factors: their key, their list, who should have one
//	units.go      unit files, drop-ins and what systemd has loaded of them
//	starthook.go  how the hook before the last start went
//	broker.go     the broker, its sockets and the list of managed accounts
//	guards.go     the restart guards
//	notify.go     the administrator's program
//	alarms.go     recent alarms of the audit trail
//	pam.go        module, profile, and the line in the stack
//	services.go   the services that ask for second factors
//	web.go        the page for browsers
//	scratch.go    a real change on a scratch stack
//	namespace.go  the private mounts in which that change happens
//	writable.go   whether each file can be replaced
//	trial.go      one store, end to end: reads and rights
//	trial_write.go, trial_advice.go, trial_grants.go
//	              its writes and its reload; the next command after each failure
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// checkTime limits one check including its repair.
const checkTime = 30 * time.Second

// Options say what to check.
type Options struct {
	Config string // empty: config.DefaultPath
	Binary string // the program that units run; empty: systemd.DefaultBinary
	Fix    bool
}

// Finding is the outcome of one check.
type Finding struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	// Fix is the command that repairs the fault. It is empty if there is no fault, or if every
	// command would make a decision for the administrator.
	Fix   string `json:"fix,omitempty"`
	Fixed bool   `json:"fixed,omitempty"` // repaired by this run
}

// Result is the outcome of all checks. Later checks rely on earlier ones.
type Result struct {
	Checks []Finding `json:"checks"`
}

// Count counts the findings with a state.
func (r Result) Count(s State) int {
	n := 0
	for _, f := range r.Checks {
		if f.State == s {
			n++
		}
	}
	return n
}

// Run runs every check. It returns an error only if a check could not run in time; faults of the
// machine are in the result.
func Run(ctx context.Context, o Options) (Result, error) {
	e := newExam(o)
	defer e.close()
	var r Result
	for _, c := range checks {
		if err := ctx.Err(); err != nil {
			return r, fmt.Errorf("cannot finish the checks: %w", err)
		}
		if c.page && !e.hasPage() { // an earlier check has read the configuration
			continue
		}
		r.Checks = append(r.Checks, e.run(ctx, c))
	}
	return r, nil
}

func (e *exam) run(ctx context.Context, c check) Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	e.load(ctx)
	if c.wired && e.config == nil && errors.Is(e.configErr, config.ErrNotFound) {
		return notChecked("shadowsync is not set up").finding(c.name)
	}
	v := c.look(ctx, e)
	f := v.finding(c.name)
	if !e.Fix || v.state == OK || v.mend == nil {
		return f
	}
	if err := v.mend(ctx); err != nil {
		f.Detail += " (cannot fix it: " + printable.Quote(err.Error()) + ")"
		return f
	}
	e.load(ctx)
	f = c.look(ctx, e).finding(c.name)
	f.Fixed = f.State == OK
	return f
}

// Label returns the number of columns before what Print says of a check.
func (r Result) Label() int { return 6 + r.nameWidth() + 2 }

func (r Result) nameWidth() (width int) {
	for _, f := range r.Checks {
		width = max(width, len(f.Name))
	}
	return width
}

// Print writes the result as a table for people.
func (r Result) Print(w io.Writer) error {
	var b strings.Builder
	width := r.nameWidth()
	for _, f := range r.Checks {
		detail := f.Detail
		if f.Fixed {
			detail = "fixed: " + detail
		}
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", f.State.label(), width, f.Name, detail)
		if f.Fix != "" {
			fmt.Fprintf(&b, "      %-*s  fix it with: %s\n", width, "", f.Fix)
		}
	}
	fmt.Fprintf(&b, "%s: %d failed, %s\n", plural.Count(len(r.Checks), "check"), r.Count(Fail), plural.Count(r.Count(Warn), "warning"))
	_, err := io.WriteString(w, b.String())
	return err
}
