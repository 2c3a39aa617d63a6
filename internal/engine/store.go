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

	mu     sync.Mutex
	store  shadowsync.CredentialStore
	opened time.Time
	rest   time.Time
	last   error
}

func (l *link) Capabilities() shadowsync.Capabilities { return l.capabilities }

// use runs one call on the open store. Calls are made one at a time: a store is
// asked by one reconcile, and a worker answers one question after the other.
func (l *link) use(ctx context.Context, call func(context.Context, shadowsync.CredentialStore) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.rest) {
		return l.last
	}
	bound, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	had, old := l.store != nil, time.Since(l.opened) >= freshFor
	err := l.once(bound, call)
	if died := l.store == nil; errors.Is(err, shadowsync.ErrUnavailable) && bound.Err() == nil && had && (old || died) {
		// A worker is confined to the folder that it found when it started, with the
		// uid of that day's owner. What was replaced since, only a new one can reach.
		l.drop()
		err = l.once(bound, call)
	}
	if bound.Err() != nil && err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", shadowsync.ErrUnavailable, errNoAnswer)
		l.rest, l.last = time.Now().Add(restAfterTimeout), err
		l.drop()
	}
	return err
}

var errNoAnswer = errors.New("no answer in time")

func (l *link) once(ctx context.Context, call func(context.Context, shadowsync.CredentialStore) error) error {
	err := l.connect(ctx)
	if err == nil {
		err = call(ctx, l.store)
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

func (l *link) Revision(ctx context.Context) (revision string, err error) {
	err = l.use(ctx, func(ctx context.Context, s shadowsync.CredentialStore) error {
		revision, err = s.Revision(ctx)
		return err
	})
	return revision, err
}

func (l *link) Read(ctx context.Context, names []string) (snapshot shadowsync.StoreSnapshot, err error) {
	err = l.use(ctx, func(ctx context.Context, s shadowsync.CredentialStore) error {
		snapshot, err = s.Read(ctx, names)
		return err
	})
	return snapshot, err
}

func (l *link) Write(ctx context.Context, writes []shadowsync.Write) (failed map[string]error, err error) {
	err = l.use(ctx, func(ctx context.Context, s shadowsync.CredentialStore) error {
		failed, err = s.Write(ctx, writes)
		return err
	})
	return failed, err
}

// Watch follows the store for as long as this opening of it lasts; the channel
// closes when the store is lost, and the caller watches anew. The bound is that
// of the call: the watch itself lives until ctx ends.
func (l *link) Watch(ctx context.Context) (news <-chan struct{}, err error) {
	life, end := context.WithCancel(ctx)
	bound := time.AfterFunc(l.timeout, end)
	defer bound.Stop()
	err = l.use(life, func(_ context.Context, s shadowsync.CredentialStore) error {
		news, err = s.Watch(life)
		return err
	})
	if err != nil && life.Err() != nil && ctx.Err() == nil {
		_ = l.Close() // it did not answer in time
	}
	if err != nil {
		end()
	}
	return news, err
}

func (l *link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
	return nil
}
