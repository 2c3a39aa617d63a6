package shadowsync

import (
	"strings"
	"time"
)

// SeenBy says how we noticed a change.
type SeenBy string

// The ways a change is seen; the texts are those of `status --json`.
const (
	SeenByPAM   SeenBy = "pam"   // the PAM module announced it
	SeenByWatch SeenBy = "watch" // the watch on the shadow file's folder
	SeenByStart SeenBy = "start" // comparison with the baseline at a start
	SeenByStore SeenBy = "store" // the application changed its own store
	SeenByPcli  SeenBy = "pcli"  // the operator shell made it
	SeenByWeb   SeenBy = "web"   // somebody who is signed in at a page made it
	SeenByTool  SeenBy = "tool"  // the root tool made it
)

// Announced reports whether PAM or one of our own tools announced the change. Otherwise we only
// noticed a difference.
func (s SeenBy) Announced() bool {
	switch s {
	case SeenByPAM, SeenByPcli, SeenByWeb, SeenByTool:
		return true
	}
	return false
}

// TakenBack reports whether such a change is taken back if the store does not take it: an operator made it, at
// a prompt or at a page.
func (s SeenBy) TakenBack() bool { return s == SeenByPcli || s == SeenByWeb }

// Origin says who made a change and how we noticed it. Fields that the kernel can no longer tell
// stay empty; nothing is guessed.
type Origin struct {
	At         time.Time `json:"at"`
	SeenBy     SeenBy    `json:"seen_by"`
	By         string    `json:"by,omitempty"`        // name of the real uid
	UID        *int      `json:"uid,omitempty"`       // real uid
	Login      string    `json:"login,omitempty"`     // name of the login uid: the person behind sudo
	LoginUID   *int      `json:"login_uid,omitempty"` // /proc/PID/loginuid
	Unverified string    `json:"unproven,omitempty"`  // what the process could have forged: "login", "program and login"; old states have the member's name
	Sudo       string    `json:"sudo,omitempty"`      // name of the nearest parent's user that is not root: the person behind sudo or su
	Program    string    `json:"program,omitempty"`
	PID        int       `json:"pid,omitempty"`
	Terminal   string    `json:"terminal,omitempty"`
	Unit       string    `json:"unit,omitempty"`    // systemd unit of the process
	Session    string    `json:"session,omitempty"` // logind session of the process, or that of a page
	Remote     string    `json:"remote,omitempty"`  // host that this session came from
	// SettledBy is who chose this value in a conflict; the other members say who made it.
	SettledBy string `json:"settled_by,omitempty"`
	Verb      string `json:"verb,omitempty"` // what our own tool was asked for: "reset password, unlock"
}

// ByRoot reports whether root made the change. If the process ended before we could ask the kernel,
// the user is unknown and not root: it may have been a user's own passwd(1), which the user can
// kill at any moment. A change found at a start counts as root's: it was made while nothing
// watched, on a machine that was off or mounted elsewhere.
func (o Origin) ByRoot() bool {
	if o.UID != nil {
		return *o.UID == 0
	}
	return o.SeenBy == SeenByStart
}

// ChangeState is the state of an open change.
type ChangeState string

// The states of an account; the texts are those of `status --json`.
const (
	InSync     ChangeState = "in-sync"     // no open change
	Queued     ChangeState = "queued"      // seen or announced, not worked on yet
	Pending    ChangeState = "pending"     // the store was unavailable
	Conflict   ChangeState = "conflict"    // an administrator must decide
	NeedsLogin ChangeState = "needs-login" // the store needs clear text, which only the next login gives
	Unproven   ChangeState = "unproven"    // the store holds another value of the application's own scheme, perhaps of the same password
	Changed    ChangeState = "changed"     // the store holds another password, which only its application knows
	Missing    ChangeState = "missing"     // the account does not exist on one side
)

// Fits reports whether an account in this state has nothing that needs attention: it is in sync, or
// only not proven to be.
func (s ChangeState) Fits() bool { return s == InSync || s == Unproven }

// Awaits reports whether a login's clear text can settle, or explain, this state.
func (s ChangeState) Awaits() bool { return s == NeedsLogin || s == Unproven || s == Changed }

// Change is a recorded difference from the baseline that is not settled yet. It is journalled
// before the first write, so that after a crash between any two steps we know what was wanted, by
// whom and why.
type Change struct {
	Account string
	State   ChangeState
	Reason  string // for people; empty while queued
	Verdict Verdict
	// OS is the OS value as it was set. It is kept even if the application overwrites the OS side
	// with an old value while the store cannot take the new one.
	OS Credential
	// Fields are the fields that the change sets, and that Set takes from OS; zero: all.
	Fields Fields
	// Over is the hash that Set replaces. If the OS holds another hash by then, Set changes nothing
	// (ErrChanged). Empty: any hash. It is not saved.
	Over string
	// StoreHash is what the store must hold if it cannot take OS.Hash. A worker made it from the
	// clear text of a login or change. Empty: OS.Hash itself.
	StoreHash string
	Origin    Origin
	Since     time.Time
}

// Guards reports whether the account's open change holds back a restart of the application. Only
// root's own change does, and only while the store may still take it and does not hold it yet. A change in the operator
// shell never does, root's included: if the store cannot take it, it is taken back. If a first pair
// differs and no side was chosen, a restart would choose; the guard prevents that, unless a user
// other than root is known to have made the change. Without a baseline and without an announced
// change, an unreadable store is no reason to guard.
func (m AccountMemory) Guards() bool {
	o := m.Open
	switch {
	case o == nil || o.Origin.SeenBy.TakenBack():
		return false
	case m.Baseline == nil && o.undecided():
		return o.Origin.UID == nil || *o.Origin.UID == 0
	case m.Baseline == nil && !o.Vouches():
		return false
	}
	// A restart would only bring a value into force that the store holds already.
	return o.State == Pending && o.Origin.ByRoot() && !strings.HasPrefix(o.Reason, notInForce)
}

// renews reports whether c differs from the change recorded before (nil: none): either it was
// announced since, or it has another password.
func (c Change) renews(before *Change) bool {
	return before == nil || before.State == Queued || before.OS.Hash != c.OS.Hash
}

// undecided reports whether the sides of a first pair differ and nothing says which one is right.
func (c Change) undecided() bool { return c.State == Conflict && c.Reason == reasonNoBaseline }

// Vouches reports whether PAM or one of our own tools set the password itself. A change that only
// locked the account, for example, says nothing about which password is right.
func (c Change) Vouches() bool {
	return c.Origin.SeenBy.Announced() && (c.Fields == 0 || c.Fields&FieldHash != 0)
}

// AtStake reports whether the account has a change that a start of the application could undo, or
// that reaches the store only through us.
func (m AccountMemory) AtStake() bool {
	return m.Open != nil && atStake(m.Open.State, m.Open.OS, m.Baseline)
}

// atStake reports whether a start of the application could bring a lost password back: the OS side
// has a value that the store does not know, or a conflict is undecided. An account that is missing
// on one side has no other value there that could come back. A value that both sides hold is safe
// while it waits for a login.
func atStake(state ChangeState, os Credential, base *Baseline) bool {
	switch state {
	case Queued, Conflict:
		return true
	case Pending, NeedsLogin:
		return base == nil || !Equal(os, base.OS, AllFields)
	}
	return false
}

// Person names, in text, who made a change, in whose name if that is another account, and with which program.
func (o Origin) Person() string {
	text := o.By
	if o.Login != "" && o.Login != o.By {
		text = o.Login + " as " + o.By
	}
	if o.Program != "" {
		text += " (" + o.Program + ")"
	}
	return text
}

// Settled adds to that who settled a conflict.
func (o Origin) Settled() string {
	if o.SettledBy == "" {
		return ""
	}
	return ", conflict settled by " + o.SettledBy
}

// Outcome is the result of an event with its reason, in text.
func (e Event) Outcome() string {
	switch {
	case e.Reason == "":
		return string(e.Result)
	case e.Result == "":
		return e.Reason
	}
	return string(e.Result) + ": " + e.Reason
}
