package shadowsync

import (
	"slices"
	"strconv"
)

// Ending says which changes of a password end the sessions that the old one opened. The
// zero value: those that PAM or our own tools vouch for, and all sessions but the one
// that the change was made in.
type Ending struct {
	// On are the ways a change is seen that end sessions; nil: those that are proven.
	// A web page is pcli's kin, and what a start finds is the watch's.
	On []SeenBy
	// Own ends the session that the change was made in too.
	Own bool
}

// Ends tells whether a change that was seen like that ends sessions.
func (e Ending) Ends(seen SeenBy) bool {
	switch {
	case e.On == nil:
		return seen.Proven()
	case seen == SeenByWeb:
		seen = SeenByPcli
	case seen == SeenByStart:
		seen = SeenByWatch
	}
	return slices.Contains(e.On, seen)
}

// keeps is the session that stays open. The operator shell's ends in any case, last. A
// program that asks for a new password at the login, as login(1) does, is in none yet: what
// it opens next is the session of who just typed that password.
func (e Ending) keeps(o Origin) string {
	switch {
	case e.Own, o.SeenBy == SeenByPcli:
		return ""
	case o.Session == "" && o.PID > 0:
		return ProcessSession(o.PID)
	}
	return o.Session
}

// ProcessSession is the id of a session that logind does not know: a process, and what it
// started.
func ProcessSession(pid int) string { return "p" + strconv.Itoa(pid) }
