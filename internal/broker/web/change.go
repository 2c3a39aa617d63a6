package web

import (
	"context"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// visit answers a request of who has a session.
func (s *Server) visit(ctx context.Context, v operators.Visit) (operators.Reply, error) {
	if v.Request.Op == web.OpSetPassword {
		return s.setPassword(ctx, v)
	}
	reply, err := s.Operators.Visit(ctx, v)
	if p, ok := reply.Result.(web.Person); ok && err == nil && p.Next == web.NextNone {
		p.LastChange = s.lastChange(ctx, v.Session)
		reply.Result = p
	}
	return reply, err
}

// setPassword changes the password. A change is on record from before its begin, so that whoever loses the answer is
// told after signing in again. One that is begun while another goes on, as by a button that is pressed twice, hides
// nothing of that one: it is on record only if it was made.
func (s *Server) setPassword(ctx context.Context, v operators.Visit) (operators.Reply, error) {
	uid, began := v.Session.UID, time.Now()
	change := websession.Change{Account: v.Session.Account, Realm: v.Session.Realm, Began: began}
	former, known, _ := s.Sessions.ChangeOf(uid)
	alone := s.beginChange(uid)
	if alone {
		defer s.endChange(uid)
		s.keepChange(uid, change)
	}
	reply, err := s.Operators.Visit(ctx, v)
	switch {
	case err == nil:
		change.Outcome = operator.Updated
	case !alone:
		return reply, err
	case ends(err) && known: // nothing was begun
		change = former
	case ends(err):
		change.Outcome = "nothing was changed: the session had ended"
	default:
		change.Outcome = s.told(err).Text
	}
	if last, there, _ := s.Sessions.ChangeOf(uid); !there || !last.Began.After(began) {
		s.keepChange(uid, change)
	}
	return reply, err
}

// beginChange reports whether no other change of a uid's password goes on.
func (s *Server) beginChange(uid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changing[uid] {
		return false
	}
	if s.changing == nil {
		s.changing = map[int]bool{}
	}
	s.changing[uid] = true
	return true
}

// endChange ends what beginChange began.
func (s *Server) endChange(uid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.changing, uid)
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
