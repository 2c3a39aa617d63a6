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

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// Request is one accepted connection. The server closes Conn and Peer when the handler returns.
type Request struct {
	Conn *Conn
	Peer Peer
}

// Server serves the connections of a listener, each in a goroutine, so that no peer can delay
// another. Zero fields mean the defaults.
type Server struct {
	// Handler serves one connection. Its context ends after Timeout, but not when Serve is told to
	// stop, so that a request in progress is still answered.
	Handler func(context.Context, *Request)
	// Place returns the place that a peer's connections count for; default its uid. Place 0 is
	// root's.
	Place func(Peer) int
	// PerPlace bounds the connections of one place at a time; default 8. Further ones of that place
	// are closed at once. A connection counts until its handler returns.
	PerPlace int
	// Total bounds all connections at a time; default 64.
	Total int
	// Kept is how many of Total are reserved for root's place.
	Kept int
	// Timeout bounds a connection from accept to end; default 10 s. Then it is closed, even if the
	// handler ignores its context.
	Timeout time.Duration
	// Log receives panics and refusals; default slog.Default().
	Log *slog.Logger

	mu      sync.Mutex
	total   int
	places  map[int]int
	closing chan struct{}
}

// mostRefused bounds how many refused connections are closed at a time; descriptors that a peer
// sent may delay that.
const mostRefused = 16

// Serve accepts connections until ctx ends or the listener is closed, and then waits for the open
// connections, at most Timeout. It returns nil if ctx ended and all are done.
func (s *Server) Serve(ctx context.Context, l *Listener) error {
	s.closing = make(chan struct{}, mostRefused)
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
			if peer, place, ok := s.admit(conn); ok {
				running.Go(func() {
					defer s.leave(place)
					s.serve(context.WithoutCancel(ctx), &Request{conn, peer})
				})
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

// admit counts conn, or refuses it. It runs in the accept loop, so that a flood is refused as fast
// as it arrives and never holds more descriptors than the limits allow.
func (s *Server) admit(conn *Conn) (peer Peer, place int, ok bool) {
	peer, err := conn.Peer()
	if err != nil {
		s.log().Warn("connection refused", "error", err)
		s.refuse(conn, peer)
		return peer, 0, false
	}
	place = peer.UID
	if s.Place != nil {
		place = s.Place(peer)
	}
	if !s.enter(place) {
		s.log().Debug("connection refused: too many at a time", "uid", peer.UID)
		s.refuse(conn, peer)
		return peer, place, false
	}
	conn.secrets = true
	return peer, place, true
}

// refuse closes a connection without delaying the others.
func (s *Server) refuse(conn *Conn, peer Peer) {
	s.closing <- struct{}{}
	go func() {
		defer func() { <-s.closing }()
		_ = peer.Close()
		_ = conn.Close()
	}()
}

// serve runs the handler for one admitted connection.
func (s *Server) serve(ctx context.Context, r *Request) {
	defer r.Peer.Close()
	defer r.Conn.Close()
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	defer context.AfterFunc(ctx, func() { r.Conn.Close() })()
	defer s.logPanic(r.Peer)
	s.Handler(ctx, r)
}

// logPanic keeps a handler's panic from ending the process, which would end all other requests,
// too.
func (s *Server) logPanic(peer Peer) {
	if p := recover(); p != nil {
		s.log().Error("panic while serving a request",
			"panic", printable.Quote(fmt.Sprint(p)), "uid", peer.UID, "pid", peer.PID,
			"stack", string(debug.Stack()))
	}
}

func (s *Server) enter(place int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := cmp.Or(s.Total, 64)
	others := s.total - s.places[0]
	if s.total >= total || place != 0 && others >= total-s.Kept || s.places[place] >= cmp.Or(s.PerPlace, 8) {
		return false
	}
	if s.places == nil {
		s.places = make(map[int]int)
	}
	s.total++
	s.places[place]++
	return true
}

func (s *Server) leave(place int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.places[place]--; s.places[place] == 0 {
		delete(s.places, place)
	}
}

func (s *Server) timeout() time.Duration { return cmp.Or(s.Timeout, 10*time.Second) }

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}
