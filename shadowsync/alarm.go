package shadowsync

import (
	"fmt"
	"strings"
	"time"
)

// ActionAlarm is the action of an event that the administrator must look at.
const ActionAlarm = "alarm"

// alarmAfter is how often one value may come back before an alarm: something keeps setting it.
const alarmAfter = 3

// elsewhere begins the reason of an alarm about a store that the application does not read.
const elsewhere = "wrong store: "

// WrongStore reports whether the event says that the application reads another store than the
// configured one.
func (e Event) WrongStore() bool {
	return e.Action == ActionAlarm && strings.HasPrefix(e.Reason, elsewhere)
}

// alarms returns warnings about the program that sets the account's values. They come in addition
// to the decision's own event. others reports whether every other store of the application holds what belongs to an
// OS value.
func (it *item) alarms(a Application, m Memory, now time.Time, others func(os Credential) bool) []Event {
	var found []Event
	add := func(format string, args ...any) {
		found = append(found, Event{
			At: now, Application: a.Name, Account: it.name, Action: ActionAlarm, Origin: it.origin, Reason: fmt.Sprintf(format, args...),
		})
	}
	account := m.Accounts[it.name]
	if it.wroteBack() && account.WriteBacks+1 == alarmAfter {
		add("the application wrote its old value back %d times: %s", alarmAfter, it.writer(a))
	}
	switch back := it.returned(); {
	case !it.cameAtStart(a, m):
	case it.decision.WroteBack && it.osWasOverwritten():
		if others(it.in.Baseline.OS) { // otherwise it may have come from one of them
			add(elsewhere+"%s set an older password at its start, one that %s: it reads another store", it.writer(a), a.unheld())
		}
	case back != nil && it.in.Evidence.Writer == WriterUnknown:
		if others(it.in.Baseline.OS) {
			add(elsewhere+"at the start of %s an older password came back that %s. It is not known which program set it; if it was the application, it reads another store", a.Unit, a.unheld())
		}
	}
	if e := it.returned(); e != nil && e.Returns+1 >= alarmAfter && it.tells(a) {
		add("one value came back %d times, set by %s: every change of this password is undone", e.Returns+1, it.setter(a))
	}
	return found
}

// unheld says of a value that the application's stores do not hold it, and names them if they are several.
func (a Application) unheld() string {
	if len(a.Stores) < 2 {
		return "its configured store does not hold"
	}
	return "none of its configured stores holds (" + strings.Join(a.Stores, ", ") + ")"
}

// tells reports whether an alarm about the value is this store's to give. What came on the OS side is
// seen for every store of the application, and told for the first one.
func (it *item) tells(a Application) bool {
	return a.Store == "" || it.decision.Verdict == VerdictApply
}

// cameAtStart reports whether the configured store held the last change before the application
// started, and still holds it. Another OS value that appears now cannot come from that store.
func (it *item) cameAtStart(a Application, m Memory) bool {
	in := it.in
	if a.Settle == 0 || in.Baseline == nil || in.Store == nil || in.Fault != nil || !in.Evidence.Settling || !Equal(*in.Store, in.Baseline.Store, in.Fields) {
		return false
	}
	if in.OS != nil && in.OS.Password() == in.Baseline.OS.Password() { // the OS has the store's value; another one is pending
		return false
	}
	changed := m.Accounts[it.name].LastChange
	return changed != nil && changed.At.Before(m.Settle.Add(-a.Settle))
}

// osWasOverwritten reports whether the decision restores the OS side.
func (it *item) osWasOverwritten() bool {
	in, d := it.in, it.decision
	return in.OS != nil && d.OS != nil && in.OS.Hash != d.OS.Hash
}

// writer names the application's unit, and its program if that was seen.
func (it *item) writer(a Application) string {
	if it.origin.Unit == a.Unit && it.origin.Program != "" {
		return it.origin.maker()
	}
	return a.Unit
}

// setter names the program that set the value. For a value from the store it names the store: we
// cannot see who wrote to it.
func (it *item) setter(a Application) string {
	if it.decision.Verdict == VerdictApply {
		return "the credential store of " + a.Unit
	}
	return it.origin.maker()
}

// maker names program and unit, as far as they are known.
func (o Origin) maker() string {
	switch {
	case o.Program != "" && o.Unit != "":
		return o.Program + " in " + o.Unit
	case o.Program != "":
		return o.Program
	case o.Unit != "":
		return "a program in " + o.Unit
	}
	return "an unknown program"
}

// returned is the recorded value that came back and now holds, set by neither PAM nor our tools:
// usually by configuration management, on the OS side or in the store. A return counts once, when
// it is first dealt with. Nil: no value came back.
func (it *item) returned() *Entry {
	in, o := it.in, it.in.Open
	came := it.arrived()
	if came == nil || it.origin.SeenBy.Announced() || o != nil && o.State != Queued && o.OS.Hash == it.decision.OS.Hash {
		return nil
	}
	for i, e := range in.Record {
		if e.OS.Password() == came.Password() || it.decision.Verdict == VerdictApply && e.Store.Password() == came.Password() {
			return &in.Record[i]
		}
	}
	return nil
}

// arrived is the value that one side brought and that the decision takes, also if the store cannot
// take it yet. Nil: there is none.
func (it *item) arrived() *Credential {
	in, d := it.in, it.decision
	if in.Baseline == nil || in.OS == nil || d.OS == nil || d.OS.Hash == in.Baseline.OS.Hash {
		return nil
	}
	switch d.Verdict {
	case VerdictApply:
		return in.Store
	case VerdictAdopt, VerdictAdoptAgain, VerdictAgree, VerdictNeedsLogin, VerdictPending:
		if in.OS.Hash == d.OS.Hash {
			return in.OS
		}
	}
	return nil
}
