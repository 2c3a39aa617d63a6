package shadowsync

import (
	"slices"
	"strings"
	"time"
)

// Outcome is the result for one account.
type Outcome struct {
	Account string
	Verdict Verdict
	State   ChangeState
	Reason  string
	Origin  Origin
	Since   time.Time
	// AtStake: a start of the application could bring a lost password back.
	AtStake bool
	// Malformed: the store, or this account's record there, cannot be parsed.
	Malformed bool
	// Choices are the sides that an administrator can choose to settle this conflict; it may be
	// empty.
	Choices  []Side
	OS       *Credential // as decided
	Store    *Credential
	Scheme   string // of Store.Hash: see Capabilities
	WritesOS bool   // what a dry run would write, or the run wrote
	WritesDB bool
}

// NotInForce returns why the application does not use a value that its store holds already.
func (o Outcome) NotInForce() (why string, ok bool) { return strings.CutPrefix(o.Reason, notInForce) }

// Report is the result of a reconcile, for every account of the application.
type Report struct {
	Unchanged bool // neither revision changed since everything was in sync; Outcomes is empty
	Fault     *StoreFault
	Outcomes  []Outcome
	// Due is how soon a delayed change of the store is dealt with; zero: none is delayed.
	Due time.Duration
}

// Doubtful reports whether the store holds, or may hold, what the application remembers from before
// the state was lost. An application that reads it now still has an unknown past.
func (r Report) Doubtful() bool {
	return r.Fault != nil || slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.Malformed || o.Reason == reasonPastUnknown })
}

// Finder returns a function that finds an account's outcome. It builds an index once, for callers
// that look up thousands of accounts.
func (r Report) Finder() func(account string) (Outcome, bool) {
	outcomes := make(map[string]Outcome, len(r.Outcomes))
	for _, o := range r.Outcomes {
		outcomes[o.Account] = o
	}
	return func(account string) (Outcome, bool) {
		if o, ok := outcomes[account]; ok {
			return o, true
		}
		return Outcome{Account: account, Verdict: VerdictNothing, State: InSync}, r.Unchanged
	}
}

// For returns one account's outcome, like Finder.
func (r Report) For(account string) (Outcome, bool) { return r.Finder()(account) }

func (v view) report(items []*item) Report {
	report := Report{Fault: v.fault, Outcomes: make([]Outcome, 0, len(items))}
	for _, it := range items {
		_, os := it.osWrite()
		_, store := it.storeWrite()
		o := Outcome{
			Account: it.name, Verdict: it.decision.Verdict, State: it.decision.Verdict.State(), Reason: it.decision.Reason,
			Origin: it.origin, OS: it.decision.OS, Store: it.decision.Store, Scheme: v.caps.Scheme, WritesOS: os, WritesDB: store,
			Malformed: it.in.Fault != nil && it.in.Fault.Malformed, Choices: it.choices(),
		}
		if it.in.Open != nil {
			o.Since = it.in.Open.Since
		}
		if it.dropped || it.later {
			o.State = Queued
		}
		if o.OS != nil {
			o.AtStake = atStake(o.State, *o.OS, it.decision.Baseline)
		}
		if it.due > 0 && (report.Due == 0 || it.due < report.Due) {
			report.Due = it.due
		}
		report.Outcomes = append(report.Outcomes, o)
	}
	return report
}
