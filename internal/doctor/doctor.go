// Package doctor checks the whole wiring of shadowsync on a running machine.
//
// It promises that each check names what is wrong, for people, with the command
// that mends it, and that looking changes nothing: the one real password change
// happens on a copy of /etc, to an account that exists nowhere else, in a mount
// namespace that ends with it. With Fix it mends what it can without deciding
// anything for the administrator, and looks again.
//
//	doctor.go     Run, and the result
//	verdict.go    what a check finds
//	exam.go       what the checks look at
//	host.go       clock, disk, locks, /etc/shadow, nsswitch.conf
//	records.go    configuration, state, audit
//	accounts.go   accounts, baselines, stores
//	units.go      unit files, drop-ins and what systemd has loaded of them
//	broker.go     the broker, its sockets and the list of managed accounts
//	guards.go     the restart guards
//	pam.go        module, profile, and the line in the stack
//	scratch.go    a real change on a scratch stack
//	namespace.go  the private view of the machine that it happens in
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/printable"
)

// checkTime bounds one check, its mending included.
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
	// Fix is the command that mends it; empty: nothing to mend, or none that
	// would not decide something for the administrator.
	Fix   string `json:"fix,omitempty"`
	Fixed bool   `json:"fixed,omitempty"` // by this run
}

// Result is the outcome of all checks, in an order in which later ones rest on earlier ones.
type Result struct {
	Checks []Finding `json:"checks"`
}

// Count counts the findings of a state.
func (r Result) Count(s State) int {
	n := 0
	for _, f := range r.Checks {
		if f.State == s {
			n++
		}
	}
	return n
}

// Run runs every check. Its error is only that of a check that could not be run in
// time; what is wrong with the machine is in the result.
func Run(ctx context.Context, o Options) (Result, error) {
	e := newExam(o)
	defer e.close()
	var r Result
	for _, c := range checks {
		if err := ctx.Err(); err != nil {
			return r, fmt.Errorf("cannot finish the checks: %w", err)
		}
		r.Checks = append(r.Checks, e.run(ctx, c))
	}
	return r, nil
}

func (e *exam) run(ctx context.Context, c check) Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	e.load(ctx)
	if c.wired && errors.Is(e.configErr, config.ErrNotFound) {
		return notChecked("shadowsync is not set up").finding(c.name)
	}
	v := c.look(ctx, e)
	f := v.finding(c.name)
	if !e.Fix || v.state == OK || v.mend == nil {
		return f
	}
	if err := v.mend(ctx); err != nil {
		f.Detail += " (cannot mend it: " + printable.Quote(err.Error()) + ")"
		return f
	}
	e.load(ctx)
	f = c.look(ctx, e).finding(c.name)
	f.Fixed = f.State == OK
	return f
}

// Print writes the result as a table for people.
func (r Result) Print(w io.Writer) error {
	var b strings.Builder
	width := 0
	for _, f := range r.Checks {
		width = max(width, len(f.Name))
	}
	for _, f := range r.Checks {
		detail := f.Detail
		if f.Fixed {
			detail = "mended: " + detail
		}
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", f.State.label(), width, f.Name, detail)
		if f.Fix != "" {
			fmt.Fprintf(&b, "      %-*s  mend it with: %s\n", width, "", f.Fix)
		}
	}
	fmt.Fprintf(&b, "%d checks: %d failed, %d warnings\n", len(r.Checks), r.Count(Fail), r.Count(Warn))
	_, err := io.WriteString(w, b.String())
	return err
}
