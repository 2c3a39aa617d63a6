package front

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// The times of a process.
const (
	idleExit    = 15 * time.Second // after the last request, and without a connection
	openFor     = 4 * time.Second  // after a secret was read: a person who signs in goes on at once
	secretLives = 9 * time.Second  // after a secret was read, all requests are cut off
	stopTime    = 9 * time.Second  // for the requests in progress, if no secret was read
	wholeLife   = 5 * time.Minute  // in any case: the next process uses a certificate that was replaced
	unusedTime  = time.Second      // for a connection without a request, once the process ends
)

// Life decides when the process ends. What it has read stays in its memory for as long as it runs, so it
// ends soon after it has read a secret, and also when nobody uses it or it has run for long. Meanwhile
// systemd holds the socket: the next connection starts a new process.
type Life struct {
	over chan struct{}
	gone chan struct{} // has an element after a connection has gone

	mu    sync.Mutex
	end   sync.Once
	blind sync.Once
	conns map[net.Conn]http.ConnState
	idle  *time.Timer
	used  time.Time // when there was something to do
	until time.Time // when a secret must be gone; zero: there is none
}

// NewLife begins without a connection.
func NewLife() *Life {
	l := &Life{over: make(chan struct{}), gone: make(chan struct{}, 1), conns: map[net.Conn]http.ConnState{}}
	l.idle = time.AfterFunc(idleExit, l.finishIfUnused)
	time.AfterFunc(wholeLife, l.finish)
	return l
}

// Over is closed when the process shall accept no more connections.
func (l *Life) Over() <-chan struct{} { return l.over }

// Secret says that the process is about to read a password or a code, or to make one.
func (l *Life) Secret() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.IsZero() {
		l.until = time.Now().Add(secretLives)
		time.AfterFunc(openFor, l.finish)
	}
}

// Unreachable says that the daemon did not answer. A process that began before the daemon's socket was made
// never sees it, so another one follows soon.
func (l *Life) Unreachable() { l.blind.Do(func() { time.AfterFunc(openFor, l.finish) }) }

func (l *Life) finish() { l.end.Do(func() { close(l.over) }) }

// finishIfUnused looks again: a connection may have come at the moment when the time was over.
func (l *Life) finishIfUnused() {
	l.mu.Lock()
	unused := len(l.conns) == 0
	l.mu.Unlock()
	if unused {
		l.finish()
	}
}

// state is told of every change of a connection.
func (l *Life) state(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(l.conns, c)
		select {
		case l.gone <- struct{}{}:
		default: // drained will look anyway
		}
	} else {
		l.conns[c], l.used = state, time.Now()
	}
	if len(l.conns) > 0 {
		l.idle.Stop()
	} else {
		l.idle.Reset(idleExit - time.Since(l.used))
	}
}

// left is how long requests in progress may go on.
func (l *Life) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.IsZero() {
		return stopTime
	}
	return time.Until(l.until)
}

// drained returns when there is no connection any more, or when ctx ends.
func (l *Life) drained(ctx context.Context) {
	for {
		l.mu.Lock()
		open := len(l.conns)
		l.mu.Unlock()
		if open == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-l.gone:
		}
	}
}

// closeUnused closes the connections that carry no request after a moment: browsers open some in advance,
// and new visitors would wait for their end. The result stops that.
func (l *Life) closeUnused() (stop func()) {
	timer := time.AfterFunc(unusedTime, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for c, state := range l.conns {
			if state == http.StateNew {
				go func() { _ = c.Close() }() // of TLS, it may wait for the peer
			}
		}
	})
	return func() { timer.Stop() }
}
