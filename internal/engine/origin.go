package engine

import (
	"time"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// OriginOf is what a process tells about the change that it made.
func (e *Engine) OriginOf(p origin.Process, seenBy shadowsync.SeenBy) shadowsync.Origin {
	return OriginOf(e.root, p, seenBy)
}

// OriginOf is that for who has no engine: the names are those of the system at root.
func OriginOf(root string, p origin.Process, seenBy shadowsync.SeenBy) shadowsync.Origin {
	o := shadowsync.Origin{
		At: time.Now(), SeenBy: seenBy, Program: p.Program(), PID: p.PID, Terminal: p.Terminal,
		Unit: p.Unit, Session: p.Session, Remote: origin.RemoteOf(p.Session), UID: p.UID, LoginUID: p.LoginUID,
	}
	if seenBy == shadowsync.SeenByPAM && p.Session == "" {
		o.PID = p.Opener()
	}
	if p.UID != nil {
		o.By = origin.UserName(root, *p.UID)
	}
	if p.LoginUID != nil {
		o.Login = origin.UserName(root, *p.LoginUID)
	}
	if person := p.Invoker(); person != nil {
		o.Sudo = origin.UserName(root, *person)
	}
	return o
}
