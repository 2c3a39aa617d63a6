package engine

import (
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// OriginOf returns the origin of a change that a process made.
func (e *Engine) OriginOf(p origin.Process, seenBy shadowsync.SeenBy) shadowsync.Origin {
	return OriginOf(e.root, p, seenBy)
}

// OriginOf does that for callers without an engine, with the names of the system at root.
func OriginOf(root string, p origin.Process, seenBy shadowsync.SeenBy) shadowsync.Origin {
	o := shadowsync.Origin{
		At: time.Now(), SeenBy: seenBy, Program: p.Program(), PID: p.PID, Terminal: p.Terminal,
		Unit: p.Unit, Session: p.Session, Remote: origin.RemoteOf(p.Session), UID: p.UID,
	}
	if seenBy == shadowsync.SeenByPAM && p.Session == "" {
		o.PID = p.Opener()
	}
	if p.UID != nil {
		o.By = origin.UserName(root, *p.UID)
	}
	switch {
	case p.LoginUID == nil:
	case p.LoggedIn():
		o.LoginUID, o.Login = p.LoginUID, origin.UserName(root, *p.LoginUID)
	default:
		o.Unverified = "login"
	}
	if p.Unpinned && p.StartTicks != 0 {
		o.Unverified = "program and login"
	}
	if person := p.Invoker(); person != nil {
		o.Sudo = origin.UserName(root, *person)
	}
	return o
}
