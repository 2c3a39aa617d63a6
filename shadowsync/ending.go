package shadowsync

import (
	"slices"
	"strconv"
)

// Ending says which password changes end the sessions that the old password opened. With the zero
// value, changes announced by PAM or our own tools end all sessions except the one in which the
// change was made.
type Ending struct {
	// On lists the ways of noticing a change that end sessions; nil: those of PAM and our
	// tools. SeenByStart counts as SeenByWatch, and SeenByWeb as SeenByPcli.
	On []SeenBy
	// Own also ends the session in which the change was made.
	Own bool
}

// Ends reports whether a change noticed in this way ends sessions.
func (e Ending) Ends(seen SeenBy) bool {
	switch {
	case e.On == nil:
		return seen.Announced()
	case seen == SeenByStart:
		seen = SeenByWatch
	case seen == SeenByWeb:
		seen = SeenByPcli
	}
	return slices.Contains(e.On, seen)
}

// Keeps returns the session that stays open. The operator shell's own session is not kept; it ends
// last. Nor is that of a page. A program that asks for a new password during a login, as login(1) does, has no session
// yet. The session that it opens next belongs to the person who just typed that password, so Keeps
// returns its process.
func (e Ending) Keeps(o Origin) string {
	switch {
	case e.Own, o.SeenBy.TakenBack():
		return ""
	case o.Session == "" && o.PID > 0:
		return ProcessSession(o.PID)
	}
	return o.Session
}

// ProcessSession is the id of a session that logind does not know: a process and its descendants.
func ProcessSession(pid int) string { return "p" + strconv.Itoa(pid) }
