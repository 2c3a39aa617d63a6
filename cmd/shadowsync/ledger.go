package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/shadowsync/shadowsync/internal/broker"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// fate is what became of one account.
type fate struct {
	done    bool  // the OS side holds it, durably
	err     error // why not
	outcome shadowsync.Outcome
	fault   *shadowsync.StoreFault
}

// The states of an account for which nothing was done; the others are those of status.
const (
	stateFailed     shadowsync.ChangeState = "failed"
	stateNotReached shadowsync.ChangeState = "not-reached" // interrupted before: it has what it had
)

// accountResult is an account as the verbs print it with --json.
type accountResult struct {
	Name        string                 `json:"name"`
	Line        int                    `json:"line,omitempty"`
	Application string                 `json:"application,omitempty"`
	State       shadowsync.ChangeState `json:"state"`
	Reason      *string                `json:"reason"`
	Password    string                 `json:"password,omitempty"` // generated
}

// summary counts; Accounts is the sum of the others.
type summary struct {
	Accounts   int `json:"accounts"`
	InSync     int `json:"in_sync"`
	Pending    int `json:"pending"`  // done on the OS side, and not on the store's
	Conflict   int `json:"conflict"` // so too, and a person must decide
	Failed     int `json:"failed"`
	NotReached int `json:"not_reached"`
}

// ledger prints what became of each account as soon as that is durable, so that
// a command that is killed has told what it has done, and sums up.
type ledger struct {
	app    *app
	verb   verb
	bulk   bool // a list was given, or several names
	total  summary
	outs   shadowsync.Report
	errs   []error
	begun  bool     // the JSON object is
	broken error    // nothing more can be printed
	full   bool     // nor will what was to come
	unseen []string // accounts with a new password that could not be shown
}

func newLedger(a *app, v verb, bulk bool) *ledger { return &ledger{app: a, verb: v, bulk: bulk} }

// print writes what was asked for, and tells whether it could. After a failure nothing
// follows: it would run into a line that was cut off.
func (l *ledger) print(text string) bool {
	if l.broken == nil {
		if _, err := io.WriteString(l.app.out, text); err != nil {
			l.broken = err
			l.note(fmt.Errorf("cannot print what was done: %w", err))
		}
	}
	return l.broken == nil
}

// room tells why the new passwords of jobs could not be shown, before they are set.
func (l *ledger) room(jobs []*job) error {
	if !l.verb.generates || l.broken != nil {
		return l.broken
	}
	n := 0
	for _, j := range jobs {
		n += len(l.verb.said(j.name, j.secret)) + 1
		if l.app.json {
			n += len(j.application) + jsonMore
		}
	}
	err := l.app.room(n)
	l.full = err != nil
	return err
}

// stuck tells whether to stop: what is generated now nobody would see.
func (l *ledger) stuck() bool { return l.verb.generates && (l.full || l.broken != nil) }

// jsonMore is by how much an account's JSON is longer than its line for people, more or less.
const jsonMore = 200

// hide has people hear that nobody has seen an account's new password.
func (l *ledger) hide(name string) {
	l.unseen = append(l.unseen, name)
	fmt.Fprintf(l.app.err, "shadowsync: cannot show the new password of %s: %s\n", oneLine(name), oneLine(l.broken.Error()))
}

func (l *ledger) note(err error) {
	if err != nil {
		l.errs = append(l.errs, err)
	}
}

func (l *ledger) add(application config.Application, guarded bool, j *job) {
	l.count(j)
	switch {
	case l.app.json:
		l.addJSON(j)
	case j.fate.err != nil:
		fmt.Fprintf(l.app.err, "shadowsync: cannot %s %s: %s\n", l.verb.phrase, oneLine(j.label()), oneLine(j.fate.err.Error()))
	default:
		l.tell(application, guarded, j)
	}
}

func (l *ledger) count(j *job) {
	l.total.Accounts++
	if j.fate.err != nil {
		l.total.Failed++
		l.errs = append(l.errs, told(j.fate.err))
		return
	}
	switch j.fate.outcome.State {
	case shadowsync.InSync:
		l.total.InSync++
		return
	case shadowsync.Conflict:
		l.total.Conflict++
	default:
		l.total.Pending++
	}
	l.outs.Outcomes = append(l.outs.Outcomes, j.fate.outcome)
	if j.fate.fault != nil {
		l.outs.Fault = j.fate.fault
	}
}

// tell says it to people. A generated password is what was asked for, so that
// not even --quiet keeps it back, and all else about it goes to standard error.
func (l *ledger) tell(application config.Application, guarded bool, j *job) {
	said := l.verb.said(j.name, j.secret)
	message := broker.Message(application, j.fate.outcome, guarded)
	away := j.fate.outcome.State != shadowsync.InSync
	switch {
	case l.verb.generates:
		if !l.print(said + "\n") {
			l.hide(j.name)
		}
		if away {
			fmt.Fprintln(l.app.err, message)
		}
	case away || !l.bulk:
		l.app.say("%s", said)
		l.app.say("%s", message)
	default:
		l.app.say("%s", said)
	}
}

func (l *ledger) addJSON(j *job) {
	r := accountResult{Name: j.name, Line: j.line, Application: j.application, State: j.fate.outcome.State, Password: string(j.secret)}
	reason := j.fate.outcome.Reason
	switch {
	case j.fate.err != nil:
		r.State, r.Password, reason = stateFailed, "", j.fate.err.Error()
	case j.fate.outcome.Account == "":
		r.State, r.Password = stateNotReached, ""
	}
	if reason != "" {
		r.Reason = &reason
	}
	if j.application == "" && j.line > 0 {
		r.Name = "" // whatever stands on that line
	}
	text, err := jsonText(r, "")
	l.note(err)
	separator := ",\n"
	if !l.begun {
		separator = l.begin() + "\n"
	}
	if !l.print(separator+strings.TrimSpace(string(text))) && r.Password != "" {
		l.hide(j.name)
	}
}

// begin is the head of the JSON object: not printed before there is something to say.
func (l *ledger) begin() string {
	l.begun = true
	return fmt.Sprintf("{\"verb\": %q, \"accounts\": [", l.verb.name)
}

// notReached counts the jobs that were left undone.
func (l *ledger) notReached(jobs []*job) {
	for _, j := range jobs {
		l.total.Accounts++
		l.total.NotReached++
		if l.app.json {
			l.addJSON(j)
		}
	}
}

// close sums up and returns what went wrong with any account. It is told already.
func (l *ledger) close() error {
	if l.app.json {
		text, err := jsonText(l.total, "")
		l.note(err)
		head := ""
		if !l.begun {
			head = l.begin()
		}
		l.print(head + "\n], \"summary\": " + strings.TrimSpace(string(text)) + "}\n")
	} else if l.bulk && !l.app.quiet {
		fmt.Fprintf(l.app.err, "shadowsync: %s: %s\n", l.verb.name, l.total)
	}
	if len(l.unseen) > 0 {
		l.note(told(&unseenError{l.unseen}))
	}
	return errors.Join(append(l.errs, l.app.outcomeError(l.outs))...)
}

func (s summary) String() string {
	text := fmt.Sprintf("%d accounts: %d in sync", s.Accounts, s.InSync)
	for _, part := range []struct {
		n    int
		text string
	}{{s.Pending, "pending on the store's side"}, {s.Conflict, "in conflict"}, {s.Failed, "failed"}, {s.NotReached, "not reached and unchanged"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.text)
		}
	}
	return text
}
