package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// restAfterTimeout is how long a store that did not answer is left alone: a
// second caller that waits for the same hung store would add its wait to ours.
const restAfterTimeout = 2 * time.Second

// freshFor is how long a store counts as just opened: opened once more it would
// give the same answer, and for a worker that costs more than all the rest of passwd.
const freshFor = 2 * time.Second

// link is a store that is opened when it is first needed, asked within a bound,
// and opened anew after it failed. It is what keeps a hung store from holding
// up passwd, a hook or another application.
type link struct {
	capabilities shadowsync.Capabilities
	open         func(context.Context) (shadowsync.CredentialStore, error)
	timeout      time.Duration
	// turn holds one element while anything is done with the store, waited for or
	// not: a worker answers one question after the other, and of what hangs in the
	// kernel there must not be more and more.
	turn chan struct{}

	// Of whoever has the turn.
	store  shadowsync.CredentialStore
	opened time.Time

	mu   sync.Mutex
	rest time.Time
	last error
}

func (l *link) Capabilities() shadowsync.Capabilities { return l.capabilities }

// ask runs one call on the open store, and answers within the bound: see inTurn.
func ask[T any](ctx context.Context, l *link, call func(context.Context, shadowsync.CredentialStore) (T, error)) (T, error) {
	if err := l.resting(); err != nil {
		var none T
		return none, err
	}
	answer, err := inTurn(ctx, l, func(bound context.Context) (answer T, err error) {
		err = l.twice(bound, func(s shadowsync.CredentialStore) error {
			answer, err = call(bound, s)
			return err
		})
		return answer, err
	})
	if errors.Is(err, errNoAnswer) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rest, l.last = time.Now().Add(restAfterTimeout), err
	}
	return answer, err
}

// resting is why the store is not asked just now; nil: it is.
func (l *link) resting() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.rest) {
		return l.last
	}
	return nil
}

var (
	errNoAnswer = errors.New("no answer in time")
	errLate     = fmt.Errorf("%w: %w", shadowsync.ErrUnavailable, errNoAnswer)
)

// inTurn does one piece of work with the store and waits for it until the bound is
// over. No deadline reaches a process in a system call on a dead disk or server, so the
// work has a goroutine of its own, which is then left behind: it has the turn until
// the kernel lets it go, and closes what it was left with.
func inTurn[T any](ctx context.Context, l *link, work func(context.Context) (T, error)) (T, error) {
	type result struct {
		answer T
		err    error
	}
	bound, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	var r result
	// Cancelled, what was begun is still finished and told of; it ends at the deadline.
	deadline, _ := bound.Deadline()
	patience := time.NewTimer(time.Until(deadline))
	defer patience.Stop()
	select {
	case l.turn <- struct{}{}:
	case <-patience.C:
		return r.answer, errLate
	}
	done, gone, ended := make(chan result), make(chan struct{}), make(chan struct{})
	go func() {
		defer func() { <-l.turn; close(ended) }()
		var r result
		r.answer, r.err = work(bound)
		late := r.err != nil && bound.Err() != nil && ctx.Err() == nil
		if late {
			r.err = errLate
		}
		select {
		case done <- r:
		case <-gone:
			late = true
		}
		if late {
			l.drop()
		}
	}()
	select {
	case r = <-done:
		if !errors.Is(r.err, errNoAnswer) {
			<-ended // at once: the turn is free when the answer is known
		}
	case <-patience.C:
		close(gone)
		r.err = errLate
	}
	return r.answer, r.err
}

// twice makes a call, and once more where another opening of the store may help.
func (l *link) twice(bound context.Context, call func(shadowsync.CredentialStore) error) error {
	had, old := l.store != nil, time.Since(l.opened) >= freshFor
	err := l.once(bound, call)
	if died := l.store == nil; errors.Is(err, shadowsync.ErrUnavailable) && bound.Err() == nil && had && (old || died) {
		// A worker is confined to the folder that it found when it started, with the
		// uid of that day's owner. What was replaced since, only a new one can reach.
		l.drop()
		err = l.once(bound, call)
	}
	return err
}

func (l *link) once(ctx context.Context, call func(shadowsync.CredentialStore) error) error {
	err := l.connect(ctx)
	if err == nil {
		err = ctx.Err() // nobody waits any more: the store is closed again, and not asked
	}
	if err == nil {
		err = call(l.store)
	}
	if l.store != nil && !usable(l.store) {
		l.drop()
	}
	return err
}

// usable tells whether a store may still answer: a worker may be dead, or in the
// middle of an answer that nobody waited for.
func usable(s shadowsync.CredentialStore) bool {
	w, ok := s.(interface{ Usable() bool })
	return !ok || w.Usable()
}

func (l *link) connect(ctx context.Context) error {
	if l.store != nil {
		return nil
	}
	store, err := l.open(ctx)
	if err != nil {
		if errors.Is(err, shadowsync.ErrUnavailable) || errors.Is(err, shadowsync.ErrMalformed) {
			return err
		}
		return fmt.Errorf("%w: %w", shadowsync.ErrUnavailable, err)
	}
	l.store, l.opened = store, time.Now()
	return nil
}

func (l *link) drop() {
	if l.store != nil {
		_ = l.store.Close() // it failed already; the next call opens another
		l.store = nil
	}
}

func (l *link) Revision(ctx context.Context) (string, error) {
	return ask(ctx, l, func(ctx context.Context, s shadowsync.CredentialStore) (string, error) { return s.Revision(ctx) })
}

func (l *link) Read(ctx context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	return ask(ctx, l, func(ctx context.Context, s shadowsync.CredentialStore) (shadowsync.StoreSnapshot, error) {
		return s.Read(ctx, names)
	})
}

func (l *link) Write(ctx context.Context, writes []shadowsync.Write) (map[string]error, error) {
	return ask(ctx, l, func(ctx context.Context, s shadowsync.CredentialStore) (map[string]error, error) {
		return s.Write(ctx, writes)
	})
}

// Watch follows the store for as long as this opening of it lasts; the channel
// closes when the store is lost, and the caller watches anew. The bound is that
// of the call: the watch itself lives until ctx ends.
func (l *link) Watch(ctx context.Context) (<-chan struct{}, error) {
	life, end := context.WithCancel(ctx)
	news, err := ask(ctx, l, func(bound context.Context, s shadowsync.CredentialStore) (<-chan struct{}, error) {
		defer context.AfterFunc(bound, end)()
		return s.Watch(life)
	})
	if err != nil {
		end()
	}
	return news, err
}

// Close closes the store. One that hangs, or is being closed for that, is left to it.
func (l *link) Close() error {
	if len(l.turn) > 0 {
		return nil
	}
	_, _ = inTurn(context.Background(), l, func(context.Context) (struct{}, error) { // see drop
		l.drop()
		return struct{}{}, nil
	})
	return nil
}
