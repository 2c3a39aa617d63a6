package setup

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Name is the name of a step.
type Name string

// The steps of setup in their order, and then the additional ones of remove.
const (
	StepConfiguration Name = "configuration"
	StepBaseline      Name = "baseline"
	StepDropIns       Name = "drop-ins"
	StepCapability    Name = "capability"
	StepWeb           Name = "web"
	StepReload        Name = "reload"
	StepEnable        Name = "enable"
	StepShells        Name = "shells"
	StepStart         Name = "start"
	StepManaged       Name = "managed"
	StepPAM           Name = "pam"
	StepServices      Name = "second-factor"

	StepGuard   Name = "guard"
	StepRuntime Name = "runtime"
	StepState   Name = "state"
	StepLists   Name = "lists"

	StepFormerShells Name = "former-shells"
)

// step is one thing to do.
type step struct {
	name Name
	what string // the result of the step, for people: "hooks around 128T.service"
	will string // what the step will do, if the result does not say that well: "remove the PAM lines"
	// due reports whether there is anything to do; it changes nothing.
	due func(context.Context) (bool, error)
	do  func(context.Context) error
	// rehearse returns, in a dry run, the error that do would return; nil: do can hardly fail.
	rehearse func(context.Context) error
	live     bool // the step needs a running system
	// leaveOut is why the step is not possible here; empty: it is possible.
	leaveOut string
	// foreign says what is there although the step has nothing to do, because setup did not make it;
	// nil or empty: nothing.
	foreign func() string
}

// State is the result of a step.
type State string

// The states.
const (
	Done    State = "done"
	Kept    State = "kept"    // nothing had to be done
	Planned State = "planned" // a dry run would do it
	LeftOut State = "left out"
	// TakenBack is a step whose effect setup has undone, because a later one failed.
	TakenBack State = "taken back"
)

var labels = map[State]string{Done: "done", Kept: "as is", Planned: "to do", LeftOut: "left out", TakenBack: "undone"}

// Outcome is the result of one step.
type Outcome struct {
	Step   Name   `json:"step"`
	What   string `json:"what"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"` // why it was left out
	will   string
}

// Imported is an account whose first baseline was taken.
type Imported struct {
	Application string `json:"application"`
	Account     string `json:"account"`
	State       string `json:"state"`   // as in status --json
	Verdict     string `json:"verdict"` // baseline, adopted, applied, unproven, needs-login
}

// Result is what setup or remove did, up to an error.
type Result struct {
	DryRun   bool       `json:"dry_run"`
	Steps    []Outcome  `json:"steps"`
	Accounts []Imported `json:"accounts,omitempty"`
	Notes    []string   `json:"notes,omitempty"` // for people
	Failed   bool       `json:"-"`               // an error ended it
}

// Changed reports whether anything was done, or would be.
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
		if o.State == Planned && o.will != "" {
			line("%-9s %s", "will", o.will)
		} else {
			line("%-9s %s", labels[o.State], o.What)
		}
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
	is := func(s State) bool { return slices.ContainsFunc(r.Steps, func(o Outcome) bool { return o.State == s }) }
	switch undone, leftOut := is(TakenBack), is(LeftOut); {
	case r.Changed(), r.Failed:
	case undone:
		line("Nothing is wired.")
	case leftOut:
		line("Nothing to do, apart from what is left out.")
	default:
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
	o := Outcome{Step: s.name, What: s.what, State: Done, will: s.will}
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
		if s.foreign != nil {
			if o.Reason = s.foreign(); o.Reason != "" {
				o.State = LeftOut
			}
		}
	case j.DryRun:
		o.State = Planned
		if s.rehearse != nil {
			if err := s.rehearse(ctx); err != nil {
				return err
			}
		}
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
