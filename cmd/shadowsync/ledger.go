package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/shadowsync/shadowsync/internal/account/barrier"
	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/broker"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// verb is a verb and what is said about it.
type verb struct {
	bulk.Verb
	phrase string // for messages, before an account's name: "reset the password of"
	doing  string // for the progress: "Resetting passwords"
	// said is the line that reports the success to people.
	said func(name string, secret []byte) string
	// adds is what that line adds about the account's previous state; nil: nothing.
	adds func(bulk.Person) string
}

// The states of an account that was not changed. The other states are those of status.
const (
	stateFailed     shadowsync.ChangeState = "failed"
	stateNotReached shadowsync.ChangeState = "not-reached" // the command was interrupted first; the account is unchanged
)

// accountResult is an account in the --json output of the verbs.
type accountResult struct {
	Name        string                 `json:"name"`
	Line        int                    `json:"line,omitempty"`
	Application string                 `json:"application,omitempty"`
	State       shadowsync.ChangeState `json:"state"`
	Reason      *string                `json:"reason"`
	Password    string                 `json:"password,omitempty"` // generated
	Barriers    []barrier.Barrier      `json:"barriers,omitempty"`
	Enrolment   string                 `json:"enrolment_code,omitempty"`
	FactorError string                 `json:"second_factor_error,omitempty"` // why it is as it was
}

// summary counts accounts. Accounts is the sum of the other counts without KeptOut.
type summary struct {
	Accounts   int `json:"accounts"`
	InSync     int `json:"in_sync"`
	Pending    int `json:"pending"`  // done on the OS side but not in the store
	Conflict   int `json:"conflict"` // done on the OS side, and a person must decide
	Failed     int `json:"failed"`
	NotReached int `json:"not_reached"`
	KeptOut    int `json:"kept_out"` // done, but the account still cannot log in
}

// ledger prints each account's result as soon as it is durable, so that a killed command has
// reported what it did. At the end it prints a summary.
type ledger struct {
	app          *app
	config       *config.Config
	applications map[string]config.Application // by their names
	verb         verb
	bulk         bool // a list or several names were given
	meter        *meter
	total        summary
	outs         shadowsync.Report
	errs         []error
	begun        bool     // the JSON object has been started
	broken       error    // why nothing more can be printed
	full         bool     // there is no room for the next batch's passwords
	unseen       []string // accounts with a new password that could not be shown
	closed       []string // accounts with a new password whose second factor is not reset, or with an enrolment code that could not be shown
}

func newLedger(a *app, c *config.Config, v verb, list bool) *ledger {
	l := &ledger{app: a, config: c, verb: v, bulk: list, applications: map[string]config.Application{}}
	for _, application := range c.Applications {
		l.applications[application.Name] = application
	}
	return l
}

// Begin starts to show the progress.
func (l *ledger) Begin(accounts int) { l.meter = l.app.newMeter(l.verb.doing, accounts) }

// Prepared counts an account in the progress.
func (l *ledger) Prepared() { l.meter.step() }

// print writes requested output and reports whether that worked. After a failure it prints nothing
// more, because that would continue a truncated line.
func (l *ledger) print(text string) bool {
	if l.broken == nil {
		if _, err := io.WriteString(l.app.out, text); err != nil {
			l.broken = err
			l.Note(fmt.Errorf("cannot print what was done: %w", err))
		}
	}
	return l.broken == nil
}

// Room returns an error if the jobs' new passwords could not be shown. It is called before they are
// set.
func (l *ledger) Room(jobs []*bulk.Job) error {
	if !l.verb.Generates || l.broken != nil {
		return l.broken
	}
	n := 0
	for _, j := range jobs {
		n += len(l.verb.said(j.Name, j.Secret)) + 1
		if l.verb.DropsFactor {
			n += len(factorReset(j.Name, enrolmentForm)) + 1
		}
		if l.app.json {
			n += len(j.Application) + jsonMore
		}
	}
	err := l.app.room(n)
	l.full = err != nil
	return err
}

// Stuck reports whether to stop because new passwords could not be shown.
func (l *ledger) Stuck() bool { return l.verb.Generates && (l.full || l.broken != nil) }

// enrolmentForm is as long as an enrolment code.
const enrolmentForm = "xxxx-xxxx-xxxx-xxxx-xxxx"

// jsonMore is roughly how much longer an account's JSON is than its line for people.
const jsonMore = 200

// hide reports that an account's new password could not be shown.
func (l *ledger) hide(name string) {
	l.unseen = append(l.unseen, name)
	l.app.complaint("cannot show the new password of %s: %s", name, l.broken)
}

// Note keeps an error for the exit status.
func (l *ledger) Note(err error) {
	if err != nil {
		l.errs = append(l.errs, err)
	}
}

// Add prints results.
func (l *ledger) Add(jobs []*bulk.Job) {
	show := l.meter.hide()
	defer show()
	guards := map[string]systemd.GuardStatus{}
	for _, j := range jobs {
		application := l.applications[j.Application]
		guard, known := guards[application.Unit]
		if !known {
			guard = l.app.guardOf(l.config, application)
			guards[application.Unit] = guard
		}
		l.add(guard, j)
	}
}

func (l *ledger) add(guard systemd.GuardStatus, j *bulk.Job) {
	l.count(j)
	switch {
	case l.app.json:
		l.addJSON(j)
	case j.Fate.Err != nil:
		l.app.complaint("cannot %s %s: %s", l.verb.phrase, j.Label(), j.Fate.Err)
	default:
		l.tell(guard, j)
	}
}

func (l *ledger) count(j *bulk.Job) {
	l.total.Accounts++
	if j.Fate.Err != nil {
		l.total.Failed++
		l.errs = append(l.errs, told(j.Fate.Err))
		return
	}
	if len(j.Fate.Barriers) > 0 {
		l.total.KeptOut++
	}
	switch j.Fate.Outcome.State {
	case shadowsync.InSync, shadowsync.Unproven, shadowsync.Changed: // these two wait for a password, and it was not set here
		l.total.InSync++
		return
	case shadowsync.Conflict:
		l.total.Conflict++
	default:
		l.total.Pending++
	}
	l.outs.Outcomes = append(l.outs.Outcomes, j.Fate.Outcome)
	if j.Fate.Fault != nil {
		l.outs.Fault = j.Fate.Fault
	}
}

// tell prints the result for people. A generated password is the requested output: --quiet does not
// suppress it, and everything else goes to standard error.
func (l *ledger) tell(guard systemd.GuardStatus, j *bulk.Job) {
	said := l.verb.said(j.Name, j.Secret)
	if l.verb.adds != nil {
		said += l.verb.adds(j.Before)
	}
	message := broker.Message(j.Fate.Outcomes, guard)
	away := !j.Fate.Outcome.State.Fits()
	switch {
	case l.verb.Generates:
		if !l.print(said + "\n") {
			l.hide(j.Name)
		}
		l.tellFactor(j)
		if away {
			fmt.Fprintln(l.app.err, message)
		}
	case away || !l.bulk:
		l.app.tell("%s", said)
		l.app.tell("%s", message)
	default:
		l.app.tell("%s", said)
	}
	if len(j.Fate.Sharing) > 0 {
		l.app.complaint("%s: it shares its uid with %s: their sessions are the same", j.Name, strings.Join(j.Fate.Sharing, ", "))
	}
	for _, b := range j.Fate.Barriers {
		l.app.complaint("%s: %s", j.Name, l.app.named(b.String()))
	}
}

// tellFactor prints the enrolment code, or why there is none.
func (l *ledger) tellFactor(j *bulk.Job) {
	f := j.Fate.Factor
	switch {
	case !l.verb.DropsFactor:
	case f.Err != nil:
		l.app.complaint("the password of %s is reset, and its second factor is not: %s", j.Name, f.Err)
		l.closed = append(l.closed, j.Name)
	case f.Code == "":
		if !l.app.quiet {
			fmt.Fprintf(l.app.err, "User `%s` has no second factor: only the password was reset\n", j.Name)
		}
	case !l.print(factorReset(j.Name, f.Code) + "\n"):
		l.app.complaint("cannot show the enrolment code of %s: %s", j.Name, l.broken)
		l.closed = append(l.closed, j.Name)
	}
}

func (l *ledger) addJSON(j *bulk.Job) {
	r := accountResult{Name: j.Name, Line: j.Line, Application: j.Application, State: j.Fate.Outcome.State, Password: string(j.Secret), Barriers: j.Fate.Barriers}
	reason := j.Fate.Outcome.Reason
	switch {
	case j.Fate.Err != nil:
		r.State, r.Password, reason = stateFailed, "", j.Fate.Err.Error()
	case j.Fate.Outcome.Account == "":
		r.State, r.Password = stateNotReached, ""
	}
	if reason != "" {
		r.Reason = &reason
	}
	if f := j.Fate.Factor; j.Fate.Err == nil {
		r.Enrolment = f.Code
		if f.Err != nil {
			r.FactorError = f.Err.Error()
			l.closed = append(l.closed, j.Name)
		}
	}
	if j.Application == "" && j.Line > 0 {
		r.Name = "" // that line may contain anything
	}
	text, err := jsonText(r, "")
	l.Note(err)
	separator := ",\n"
	if !l.begun {
		separator = l.begin() + "\n"
	}
	if !l.print(separator + strings.TrimSpace(string(text))) {
		if r.Password != "" {
			l.hide(j.Name)
		}
		if r.Enrolment != "" {
			l.closed = append(l.closed, j.Name)
		}
	}
}

// begin returns the head of the JSON object. It is printed only when there is something to report.
func (l *ledger) begin() string {
	l.begun = true
	return fmt.Sprintf("{\"verb\": %q, \"accounts\": [", l.verb.Name)
}

// Finish stops the progress and counts the jobs that were not reached.
func (l *ledger) Finish(rest []*bulk.Job) {
	l.meter.stop()
	for _, j := range rest {
		l.total.Accounts++
		l.total.NotReached++
		if l.app.json {
			l.addJSON(j)
		}
	}
}

// close prints the summary and returns the errors of all accounts, which are already printed.
func (l *ledger) close() error {
	if l.app.json {
		text, err := jsonText(l.total, "")
		l.Note(err)
		head := ""
		if !l.begun {
			head = l.begin()
		}
		l.print(head + "\n], \"summary\": " + strings.TrimSpace(string(text)) + "}\n")
	} else if l.bulk && !l.app.quiet {
		l.app.complaint("%s: %s", l.verb.Name, l.total)
	}
	if len(l.unseen) > 0 {
		l.Note(told(&unseenError{l.unseen}))
	}
	if len(l.closed) > 0 {
		l.Note(told(&halfResetError{l.closed}))
	}
	return errors.Join(append(l.errs, l.app.outcomeError(l.outs))...)
}

func (s summary) String() string {
	text := fmt.Sprintf("%s: %d in sync", plural.Count(s.Accounts, "account"), s.InSync)
	for _, part := range []struct {
		n    int
		text string
	}{{s.Pending, "pending on the store's side"}, {s.Conflict, "in conflict"}, {s.Failed, "failed"}, {s.NotReached, "not tried and unchanged"}, {s.KeptOut, "still unable to log in"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.text)
		}
	}
	return text
}
