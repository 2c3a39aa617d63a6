package setup

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Name names a step.
type Name string

// The steps of setup, in their order, and those that remove has besides.
const (
	StepConfiguration Name = "configuration"
	StepBaseline      Name = "baseline"
	StepDropIns       Name = "drop-ins"
	StepReload        Name = "reload"
	StepEnable        Name = "enable"
	StepShells        Name = "shells"
	StepStart         Name = "start"
	StepManaged       Name = "managed"
	StepPAM           Name = "pam"

	StepGuard   Name = "guard"
	StepRuntime Name = "runtime"
	StepState   Name = "state"
	StepLists   Name = "lists"
)

// step is one thing to do.
type step struct {
	name Name
	what string // what is so afterwards, for people: "hooks around 128T.service"
	// due tells whether there is anything to do; it changes nothing.
	due func(context.Context) (bool, error)
	do  func(context.Context) error
	// leaveOut is why the step is not possible here; empty: it is.
	leaveOut string
}

// State is what became of a step.
type State string

// The states.
const (
	Done    State = "done"
	Kept    State = "kept"    // it was as it must be
	Planned State = "planned" // a dry run would do it
	LeftOut State = "left out"
)

var labels = map[State]string{Done: "done", Kept: "as is", Planned: "to do", LeftOut: "left out"}

// Outcome is what became of one step.
type Outcome struct {
	Step   Name   `json:"step"`
	What   string `json:"what"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"` // why it was left out
}

// Imported is an account whose first baseline was taken.
type Imported struct {
	Application string `json:"application"`
	Account     string `json:"account"`
	State       string `json:"state"`   // as in status --json
	Verdict     string `json:"verdict"` // baseline, adopted, applied, needs-login
}

// Result tells what setup or remove did, as far as it came.
type Result struct {
	DryRun   bool       `json:"dry_run"`
	Steps    []Outcome  `json:"steps"`
	Accounts []Imported `json:"accounts,omitempty"`
	Notes    []string   `json:"notes,omitempty"` // for people
}

// Changed tells whether anything was done, or would be.
func (r Result) Changed() bool {
	return slices.ContainsFunc(r.Steps, func(o Outcome) bool { return o.State == Done || o.State == Planned })
}

// Print writes the result for people.
func (r Result) Print(w io.Writer) error {
	var err error
	line := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	for _, o := range r.Steps {
		line("%-9s %s", labels[o.State], o.What)
		if o.Reason != "" {
			line("          %s", o.Reason)
		}
	}
	for _, a := range r.Accounts {
		line("account   %s (%s): %s", a.Account, a.Application, a.Verdict)
	}
	for _, n := range r.Notes {
		line("note      %s", n)
	}
	if !r.Changed() {
		line("Nothing to do: everything is as it must be.")
	}
	return err
}

func (j *job) run(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := j.runStep(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) runStep(ctx context.Context, s step) error {
	o := Outcome{Step: s.name, What: s.what, State: Done}
	if s.leaveOut != "" {
		o.State, o.Reason = LeftOut, s.leaveOut
		j.result.Steps = append(j.result.Steps, o)
		return nil
	}
	due, err := s.due(ctx)
	if err != nil {
		return err
	}
	switch {
	case !due:
		o.State = Kept
	case j.DryRun:
		o.State = Planned
	default:
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	j.result.Steps = append(j.result.Steps, o)
	return nil
}

func (j *job) note(format string, args ...any) {
	j.result.Notes = append(j.result.Notes, fmt.Sprintf(format, args...))
}

func only(steps []step, names []Name) []step {
	return slices.DeleteFunc(steps, func(s step) bool { return !slices.Contains(names, s.name) })
}
