package main

import (
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

type accountStatus struct {
	Name         string                 `json:"name"`
	State        shadowsync.ChangeState `json:"state"`
	Reason       *string                `json:"reason"`
	PendingSince *time.Time             `json:"pending_since"`
	LastChange   *shadowsync.Origin     `json:"last_change"`

	agrees    bool // both sides hold the same password, in a format that the application cannot verify
	notTaken  bool // setup has not taken it over
	goneOS    bool
	badLine   bool // its line in shadow(5) exists but cannot be read
	malformed bool // the store, or the account's record in it, cannot be read either
	choices   []shadowsync.Side
}

// unknown is the state of an account if one side cannot be read now.
const unknown shadowsync.ChangeState = "unknown"

// urgency orders the states, the most urgent first.
var urgency = map[shadowsync.ChangeState]int{
	unknown: 0, shadowsync.Conflict: 0, shadowsync.Pending: 1, shadowsync.Missing: 2, shadowsync.NeedsLogin: 3, shadowsync.Changed: 3,
	shadowsync.Queued: 4, shadowsync.Unproven: 5, shadowsync.InSync: 6,
}

func (s accountStatus) settled() bool { return s.State == shadowsync.InSync }

// wrong reports whether the account needs attention.
func (s accountStatus) wrong() bool { return !s.State.Fits() }

// notInForce reports whether the store holds the change already, and only its server has not read it.
func (s accountStatus) notInForce() bool {
	if s.Reason == nil {
		return false
	}
	_, waits := shadowsync.Outcome{Reason: *s.Reason}.NotInForce()
	return waits
}

// next returns the commands that help, the likeliest first.
func (s accountStatus) next() []string {
	switch {
	case s.notTaken:
		return []string{"shadowsync setup"}
	case s.State == shadowsync.Queued:
		return []string{"shadowsync sync " + s.Name}
	case s.State == shadowsync.Pending && s.notInForce():
		return []string{"repair what the reload fails at; the change comes into force by itself, or at once by", "shadowsync sync " + s.Name}
	case s.State == shadowsync.Pending:
		return []string{"repair the store; the change is persisted by itself, or at once by", "shadowsync sync " + s.Name}
	case s.State == unknown:
		return []string{"shadowsync doctor"}
	case s.State == shadowsync.Conflict && s.malformed:
		return []string{"repair the store, then:", "shadowsync sync " + s.Name}
	case s.State == shadowsync.Conflict && len(s.choices) > 0:
		return s.decide()
	case s.State == shadowsync.NeedsLogin, s.State == shadowsync.Changed, s.State == shadowsync.Conflict:
		return []string{"shadowsync user set password " + s.Name}
	case s.badLine:
		return []string{"vipw -s"}
	case s.goneOS:
		return []string{"create the OS account again, or take it out of the configuration"}
	case s.State == shadowsync.Missing:
		return []string{"create the account in the application, or take it out of the configuration"}
	}
	return nil
}

// decide returns the commands that settle a conflict, one for each side.
func (s accountStatus) decide() []string {
	texts := map[shadowsync.Side]string{
		shadowsync.OSSide:    "os     the OS's password wins",
		shadowsync.StoreSide: "store  the store's password wins",
	}
	var commands []string
	for _, side := range s.choices {
		commands = append(commands, "shadowsync sync "+s.Name+" --prefer "+texts[side])
	}
	return commands
}

// accountOf is an account's state: the recorded one, unless the dry run found something newer.
func accountOf(o shadowsync.Outcome, m shadowsync.AccountMemory) accountStatus {
	s := accountStatus{
		Name: o.Account, State: o.State, LastChange: m.LastChange,
		agrees: agree(o), goneOS: o.OS == nil, malformed: o.Malformed, choices: o.Choices,
	}
	reason := o.Reason
	if m.Open != nil && m.Open.Origin.SeenBy != "" {
		s.LastChange = &m.Open.Origin
	}
	if o.State == shadowsync.InSync {
		s.State, reason = openState(o, m.Open)
	}
	if s.State == shadowsync.InSync {
		return s
	}
	if reason != "" {
		s.Reason = &reason
	}
	if m.Open != nil {
		s.PendingSince = stamp(m.Open.Since)
	}
	return s
}

// doubt withdraws "in-sync" if the store could not be read or a note about the account is still
// unprocessed.
func (s *accountStatus) doubt(blind bool, store storeStatus, noted bool) {
	reason := "changed while shadowsync could not process it"
	switch {
	case blind:
		s.State, reason = unknown, "store: "+store.Reason
	case noted:
		s.State = shadowsync.Queued
	default:
		return
	}
	s.Reason = &reason
}

// agree reports whether an account with an open change is in step all the same: both sides hold one
// password, in a format that the application cannot verify, or nothing shows that they do not.
func agree(o shadowsync.Outcome) bool {
	return o.State == shadowsync.Unproven || o.State == shadowsync.NeedsLogin && !o.AtStake
}

// openState is the state of an account with no obstacle now. A pending change stays pending until a
// reconcile has worked on it.
func openState(o shadowsync.Outcome, open *shadowsync.Change) (shadowsync.ChangeState, string) {
	switch {
	case open != nil && open.State == shadowsync.Pending:
		return shadowsync.Pending, open.Reason
	case open == nil && (o.Verdict == shadowsync.VerdictNothing || o.Verdict == shadowsync.VerdictAgree || o.Verdict == shadowsync.VerdictBaseline):
		return shadowsync.InSync, ""
	}
	return shadowsync.Queued, o.Reason
}
