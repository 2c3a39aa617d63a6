package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/printable"
)

// Request is one accepted connection. The server closes both when the handler returns.
type Request struct {
	Conn *Conn
	Peer Peer
}

// Server serves the connections of a listener, each in a goroutine, so that no
// peer can delay another. Zero fields mean the defaults.
type Server struct {
	// Handler serves one connection. Its context ends after Timeout; it does
	// not end when Serve is told to stop, so that what was begun is answered.
	Handler func(context.Context, *Request)
	// PerUID bounds the connections of one uid at a time; default 8. Further ones of
	// that uid are closed at once. A connection counts until its handler returns.
	PerUID int
	// Total bounds all connections at a time; default 64.
	Total int
	// Timeout bounds a connection from accept to end; default 10 s. At that
	// time it is closed, even under a handler that ignores its context.
	Timeout time.Duration
	// Log takes panics and refusals; default slog.Default().
	Log *slog.Logger

	mu     sync.Mutex
	total  int
	perUID map[int]int
}

// Serve accepts until ctx ends or the listener is closed, and then waits for the
// connections it has, at most Timeout. It returns nil after ctx ended and all are done.
func (s *Server) Serve(ctx context.Context, l *Listener) error {
	var running sync.WaitGroup
	err := s.acceptAll(ctx, l, &running)
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	// The margin is for handlers that end at their own deadline.
	timer := time.NewTimer(s.timeout() + time.Second)
	defer timer.Stop()
	select {
	case <-done:
		return err
	case <-timer.C:
		return errors.Join(err, errors.New("cannot stop serving: a handler does not return"))
	}
}

func (s *Server) acceptAll(ctx context.Context, l *Listener, running *sync.WaitGroup) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		conn, err := l.Accept(ctx)
		switch {
		case err == nil:
			pause = shortest
			if peer, ok := s.admit(conn); ok {
				running.Go(func() { s.serve(context.WithoutCancel(ctx), &Request{conn, peer}) })
			}
		case ctx.Err() != nil:
			return nil //nolint:nilerr // told to stop
		case errors.Is(err, os.ErrClosed):
			return err
		case errors.Is(err, unix.ECONNABORTED):
		default:
			// EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection stays queued.
			s.log().Warn("cannot accept a connection for now", "error", err, "pause", pause)
			sleep(ctx, pause)
			pause = min(2*pause, longest)
		}
	}
}

// admit counts conn in, or closes it. It runs in the accept loop, so that a flood
// is refused as fast as it comes and never holds more descriptors than the limits say.
func (s *Server) admit(conn *Conn) (Peer, bool) {
	peer, err := conn.Peer()
	switch {
	case err != nil:
		s.log().Warn("connection refused", "error", err)
	case !s.enter(peer.UID):
		s.log().Debug("connection refused: too many at a time", "uid", peer.UID)
		_ = peer.Close()
	default:
		return peer, true
	}
	_ = conn.Close()
	return Peer{}, false
}

// serve runs the handler for one connection that was admitted.
func (s *Server) serve(ctx context.Context, r *Request) {
	defer s.leave(r.Peer.UID)
	defer r.Peer.Close()
	defer r.Conn.Close()
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	defer context.AfterFunc(ctx, func() { r.Conn.Close() })()
	defer s.logPanic(r.Peer)
	s.Handler(ctx, r)
}

// logPanic keeps a panic of a handler from ending the process, which would
// take everybody's requests along.
func (s *Server) logPanic(peer Peer) {
	if p := recover(); p != nil {
		s.log().Error("panic while serving a request",
			"panic", printable.Quote(fmt.Sprint(p)), "uid", peer.UID, "pid", peer.PID,
			"stack", string(debug.Stack()))
	}
}

func (s *Server) enter(uid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= cmp.Or(s.Total, 64) || s.perUID[uid] >= cmp.Or(s.PerUID, 8) {
		return false
	}
	if s.perUID == nil {
		s.perUID = make(map[int]int)
	}
	s.total++
	s.perUID[uid]++
	return true
}

func (s *Server) leave(uid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.perUID[uid]--; s.perUID[uid] == 0 {
		delete(s.perUID, uid)
	}
}

func (s *Server) timeout() time.Duration { return cmp.Or(s.Timeout, 10*time.Second) }

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}
