// Package web answers what pages ask the daemon on web.sock. It keeps the sessions: who asks is known from the
// token alone, which was given to a browser. What is asked is decided and done by the package operators.
//
// Whoever has the socket and no token learns the settings of the page, and can try passwords as slowly as
// everybody else.
//
//	web.go     a request's way
//	request.go what is taken for a request
//	change.go  what became of the change of a password
package web

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

const (
	// firstPacket is how long a page may take to send its request.
	firstPacket = 3 * time.Second
	// Timeout bounds a connection.
	Timeout = firstPacket + 45*time.Second
	// mostOfOne is how many requests of one person's are answered at a time: more than two browsers send,
	// and few of those that the socket takes.
	mostOfOne = 16
	// mostLists is how many lists are made and sent at a time. Each is in memory as a whole, several times, and
	// the broker's memory has a limit that many lists of ten thousand accounts would exceed.
	mostLists = 2
	listsFor  = 5 * time.Second // how long a request waits for that
)

// lists are the operations that answer with a list.
var lists = map[web.Op]bool{web.OpUsers: true, web.OpSync: true, web.OpActivity: true, web.OpSessions: true}

// Server answers on the socket of pages.
type Server struct {
	Operators *operators.Server     // ForPages
	Config    func() *config.Config // the present one
	Sessions  websession.Store
	Born      time.Time // when this process began
	Log       *slog.Logger

	mu       sync.Mutex
	busy     map[int]int   // requests in progress, by the uid of who is signed in
	changing map[int]bool  // uids whose change of the password goes on and is on record
	listing  chan struct{} // semaphore: bounds lists
}

// turn waits until another list may be made; done gives the turn back.
func (s *Server) turn(ctx context.Context) (done func(), err error) {
	s.mu.Lock()
	if s.listing == nil {
		s.listing = make(chan struct{}, mostLists)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, listsFor)
	defer cancel()
	select {
	case s.listing <- struct{}{}:
		return func() { <-s.listing }, nil
	case <-ctx.Done():
		return nil, &web.Error{Kind: web.TooMany, Text: "too many lists are being made; try again in a moment"}
	}
}

// enter counts a request of somebody's, or refuses it.
func (s *Server) enter(uid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[uid] >= mostOfOne {
		return false
	}
	if s.busy == nil {
		s.busy = map[int]int{}
	}
	s.busy[uid]++
	return true
}

// leave ends what enter began.
func (s *Server) leave(uid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[uid]--; s.busy[uid] == 0 {
		delete(s.busy, uid)
	}
}

// Answer answers one request.
func (s *Server) Answer(ctx context.Context, r *socket.Request) {
	if err := r.Conn.SetLimits(socket.MaxPacket, mostFiles); err != nil {
		s.Log.Error("a page cannot be served", "error", err)
		return
	}
	q, files, err := receive(ctx, r.Conn)
	defer socket.CloseAll(files)
	if err != nil {
		_ = r.Conn.Send(ctx, web.Answer{Error: err}) // fails only if the peer is gone
		return
	}
	if q == nil {
		return // an unreadable request gets no answer
	}
	if err := s.answer(ctx, r, *q, files); err != nil {
		_ = r.Conn.Send(ctx, web.Answer{Error: s.told(err)})
	}
}

func (s *Server) answer(ctx context.Context, r *socket.Request, q web.Request, files []*os.File) error {
	switch q.Op {
	case web.OpSettings:
		return operator.SendResult(ctx, r.Conn, s.settings())
	case web.OpSignIn:
		return s.signIn(ctx, r, q, files)
	}
	session, err := s.Sessions.Find(q.Token)
	if err != nil {
		return err
	}
	if q.Op != web.OpSignOut {
		if !s.enter(session.UID) {
			return errBusy
		}
		defer s.leave(session.UID)
	}
	if lists[q.Op] {
		done, err := s.turn(ctx)
		if err != nil {
			return err
		}
		defer done()
	}
	reply, err := s.visit(ctx, operators.Visit{Session: session, Request: q, Files: files, Peer: r.Peer})
	if q.Op == web.OpSignOut {
		err = nil // whatever it was, nobody is signed in any more
	}
	if reply.Ended || ends(err) || q.Op == web.OpSignOut {
		err = errors.Join(err, s.Sessions.End(session))
	}
	if err != nil {
		return err
	}
	return s.reply(ctx, r.Conn, q.Token, reply)
}

// reply gives the answer, with the token under which the session goes on.
func (s *Server) reply(ctx context.Context, conn *socket.Conn, token string, reply operators.Reply) (err error) {
	if reply.List != nil {
		return operator.SendList(ctx, conn, reply.List)
	}
	if reply.Renewed && !reply.Ended {
		token, err = s.Sessions.GoOn(reply.Session)
	}
	switch {
	case err != nil && !keeps(reply):
		return err
	case err != nil, reply.Ended:
		token = ""
	}
	if reply.Signed != nil {
		reply.Signed.Token = token
	}
	return operator.SendResult(ctx, conn, reply.Result)
}

// keeps reports whether a reply has recovery codes, which must be told even if the session ended meanwhile.
func keeps(reply operators.Reply) bool {
	_, codes := reply.Result.(*web.Confirmed)
	return codes
}

// ends reports whether an error says that a session is over.
func ends(err error) bool {
	var told *web.Error
	return errors.As(err, &told) && told.Kind == web.SignedOut
}

func (s *Server) settings() web.Settings {
	c := s.Config()
	return web.Settings{
		Node: c.Node.Name, Issuer: c.Issuer(), Proxies: c.Web.Proxies,
		Idle: time.Duration(c.Web.Idle), Total: time.Duration(c.Web.Total),
	}
}

// signIn proves a password and begins a session. Nothing of an earlier one goes on, whatever token came along.
func (s *Server) signIn(ctx context.Context, r *socket.Request, q web.Request, files []*os.File) error {
	who, err := arrival(q, files)
	if err != nil {
		return err
	}
	session, signed, err := s.Operators.SignIn(ctx, operators.Arrival{SignIn: who, Password: files[0], Peer: r.Peer})
	if err != nil {
		return err
	}
	c := s.Config()
	session.Idle, session.Total = time.Duration(c.Web.Idle), time.Duration(c.Web.Total)
	if session, signed.Token, err = s.Sessions.Begin(session); err != nil {
		return err
	}
	if err := s.Operators.SignedIn(ctx, session, r.Peer); err != nil {
		return errors.Join(err, s.Sessions.End(session))
	}
	return operator.SendResult(ctx, r.Conn, signed)
}

// told is what a page is told about an error.
func (s *Server) told(err error) *web.Error {
	var told *web.Error
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, websession.ErrEnded):
		return errSignedOut
	}
	s.Log.Error("a request of a page failed", "error", err)
	return &web.Error{Kind: web.Failed, Text: "it failed; the journal of shadowsync.service tells why"}
}

var (
	errSignedOut = &web.Error{Kind: web.SignedOut, Text: "you are not signed in any more"}
	errBusy      = &web.Error{Kind: web.TooMany, Text: "too many requests of yours at a time; try again in a moment"}
)

// Follow ends sessions after each change of the accounts: see [operators.Server.Shut].
func (s *Server) Follow(ctx context.Context, changed <-chan struct{}) {
	for {
		err := s.Sessions.EndThose(func(all []websession.Session) ([]websession.Session, error) { return s.Operators.Shut(ctx, all) })
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("it is not known whether sessions of pages must end", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
