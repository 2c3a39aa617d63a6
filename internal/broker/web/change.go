package web

import (
	"context"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// visit answers a request of who has a session. A change of the password is on record from before its begin, so that
// whoever loses the answer is told after signing in again.
func (s *Server) visit(ctx context.Context, v operators.Visit) (operators.Reply, error) {
	if v.Request.Op != web.OpSetPassword {
		reply, err := s.Operators.Visit(ctx, v)
		if p, ok := reply.Result.(web.Person); ok && err == nil && p.Next == web.NextNone {
			p.LastChange = s.lastChange(ctx, v.Session)
			reply.Result = p
		}
		return reply, err
	}
	uid := v.Session.UID
	former, known, _ := s.Sessions.ChangeOf(uid)
	change := websession.Change{Account: v.Session.Account, Realm: v.Session.Realm, Began: time.Now()}
	s.keepChange(uid, change)
	reply, err := s.Operators.Visit(ctx, v)
	switch {
	case err == nil:
		change.Outcome = operator.Updated
	case ends(err) && known: // nothing was begun
		change = former
	case ends(err):
		change.Outcome = "nothing was changed: the session had ended"
	default:
		change.Outcome = s.told(err).Text
	}
	s.keepChange(uid, change)
	return reply, err
}

func (s *Server) keepChange(uid int, c websession.Change) {
	if err := s.Sessions.KeepChange(uid, c); err != nil {
		s.Log.Warn("what becomes of a change at a page cannot be kept", "account", c.Account, "error", err)
	}
}

// lastChange is what became of the last change that was begun before the session; nil: there was none.
func (s *Server) lastChange(ctx context.Context, session websession.Session) *web.LastChange {
	c, there, err := s.Sessions.ChangeOf(session.UID)
	if err == nil && (!there || c.Account != session.Account || c.Realm != session.Realm || !c.Began.Before(session.Since)) {
		return nil
	}
	last := &web.LastChange{Began: c.Began, Outcome: c.Outcome}
	if err == nil && c.Outcome == "" { // this daemon makes it, or a former one did
		last.Outcome, err = s.Operators.Became(ctx, c, s.Born)
	}
	if err != nil {
		s.Log.Warn("what became of a change at a page is not known", "account", session.Account, "error", err)
		return nil
	}
	if last.Outcome == "" {
		return nil
	}
	return last
}
