package systemd

import (
	"context"
	"sync"
	"time"
)

// Reloads runs one reload at a time. Callers that come before one begins share it, because it will read
// what they wrote. The zero value is ready.
type Reloads struct {
	turn sync.Mutex // held while a reload runs
	mu   sync.Mutex
	next *Reload // the one that has not begun yet
}

// Reload is one reload.
type Reload struct {
	done chan struct{}
	err  error
}

// Join returns a reload that begins from now on. It ends within a limit of its own, because other callers
// than the first wait for it too.
func (r *Reloads) Join(within time.Duration, do func(context.Context) error) *Reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &Reload{done: make(chan struct{})}
		go r.run(r.next, within, do)
	}
	return r.next
}

func (r *Reloads) run(one *Reload, within time.Duration, do func(context.Context) error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	r.next = nil // what is written from now on needs the next reload
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	one.err = do(ctx)
	close(one.done)
}

// Wait waits for the end of the reload and returns its error. over is false if ctx ended first.
func (r *Reload) Wait(ctx context.Context) (over bool, err error) {
	select {
	case <-r.done:
		return true, r.err
	case <-ctx.Done():
		return false, nil
	}
}

// Failed reports whether the reload has ended without success.
func (r *Reload) Failed() bool {
	select {
	case <-r.done:
		return r.err != nil
	default:
		return false
	}
}
