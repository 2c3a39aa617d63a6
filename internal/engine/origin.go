package engine

import (
	"time"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// OriginOf is what a process tells about the change that it made.
func (e *Engine) OriginOf(p origin.Process, seenBy shadowsync.SeenBy) shadowsync.Origin {
	o := shadowsync.Origin{
		At: time.Now(), SeenBy: seenBy, Program: p.Program(), PID: p.PID, Terminal: p.Terminal,
		Unit: p.Unit, Session: p.Session, Remote: origin.RemoteOf(p.Session), UID: p.UID, LoginUID: p.LoginUID,
	}
	if p.UID != nil {
		o.By = origin.UserName(e.root, *p.UID)
	}
	if p.LoginUID != nil {
		o.Login = origin.UserName(e.root, *p.LoginUID)
	}
	if person := p.Invoker(); person != nil {
		o.Sudo = origin.UserName(e.root, *person)
	}
	return o
}
