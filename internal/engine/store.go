package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// restAfterTimeout is how long we leave a store alone that did not answer, or only after a long wait, such as
// for a lock: another caller would add its own wait for the same store. passwd has several.
const restAfterTimeout = 2 * time.Second

// freshFor is how long a store counts as just opened: opened again it would give the same answer,
// and opening a worker costs more than all the rest of passwd.
const freshFor = 2 * time.Second

// openWithin bounds the opening of a store. A server's name must be looked up and a worker started, which on a
// slow machine may take longer than any caller waits: then the next one finds the store open.
const openWithin = 15 * time.Second

// link is a store that is opened when it is first needed, called with a time limit, and opened
// again after a failure. It keeps a hung store from blocking passwd, a hook or another application.
type link struct {
	capabilities shadowsync.Capabilities
	open         func(context.Context) (shadowsync.CredentialStore, error)
	timeout      time.Duration
	reload       *reloader // nil: the application uses at once what the store holds
	// turn is a semaphore, held while any call uses the store, even one that no caller waits for
	// any more. A worker answers one question at a time, and calls that hang in the kernel must not
	// pile up.
	turn chan struct{}
	// left is closed at the end of the call that was left behind last; nil: none was.
	left atomic.Pointer[chan struct{}]

	// Only the holder of turn uses these.
	store  shadowsync.CredentialStore
	opened time.Time
	called bool // since it was opened, or in this turn

	mu     sync.Mutex
	closed bool
	rest   time.Time
	last   error
}

func (l *link) Capabilities() shadowsync.Capabilities { return l.capabilities }

// ask runs one call on the open store and returns within the time limit: see inTurn.
func ask[T any](ctx context.Context, l *link, call func(context.Context, shadowsync.CredentialStore) (T, error)) (T, error) {
	if err := l.resting(); err != nil {
		var none T
		return none, err
	}
	begun := time.Now()
	answer, err := inTurn(ctx, l, func(bound context.Context) (answer T, err error) {
		err = l.twice(bound, func(s shadowsync.CredentialStore) error {
			answer, err = call(bound, s)
			return err
		})
		return answer, err
	})
	if errors.Is(err, errNoAnswer) || errors.Is(err, shadowsync.ErrUnavailable) && time.Since(begun) > l.timeout/2 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rest, l.last = time.Now().Add(restAfterTimeout), err
	}
	return answer, err
}

// resting says why the store is not called now; nil: it may be called.
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

// inTurn runs work on the store and waits for it until the time limit. A deadline cannot stop a
// system call on a dead disk or server, so the work runs in its own goroutine. After the limit that
// goroutine is left behind; it keeps the turn until the system call returns, and then closes its
// store, unless it has only opened that.
func inTurn[T any](ctx context.Context, l *link, work func(context.Context) (T, error)) (T, error) {
	type result struct {
		answer T
		err    error
	}
	bound, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	var r result
	// If ctx is cancelled, started work still finishes and is reported; the limit ends the wait.
	deadline, _ := bound.Deadline()
	patience := time.NewTimer(time.Until(deadline))
	defer patience.Stop()
	if l.hangs() {
		return r.answer, errLate
	}
	select {
	case l.turn <- struct{}{}:
	case <-patience.C:
		return r.answer, errLate
	}
	done, gone, ended := make(chan result), make(chan struct{}), make(chan struct{})
	go func() {
		defer l.end(ended)
		l.called = false
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
		if late && l.called {
			l.drop()
		}
	}()
	select {
	case r = <-done:
		if !errors.Is(r.err, errNoAnswer) {
			<-ended // this is immediate: the turn must be free when the caller gets the answer
		}
	case <-patience.C:
		close(gone)
		l.left.Store(&ended)
		r.err = errLate
	}
	return r.answer, r.err
}

// end gives the turn to the next caller, or closes the store if Close has not waited for this turn.
func (l *link) end(ended chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.drop()
	}
	<-l.turn
	close(ended)
}

// hangs reports whether a call that was left behind still has the turn. Nothing comes of waiting for it,
// and passwd has other things to wait for.
func (l *link) hangs() bool {
	left := l.left.Load()
	if left == nil {
		return false
	}
	select {
	case <-*left:
		return false
	default:
		return true
	}
}

// twice makes a call, and repeats it if opening the store again may help.
func (l *link) twice(bound context.Context, call func(shadowsync.CredentialStore) error) error {
	had, old := l.store != nil, time.Since(l.opened) >= freshFor
	err := l.once(bound, call)
	if died := l.store == nil; errors.Is(err, shadowsync.ErrUnavailable) && bound.Err() == nil && had && (old || died) {
		// A worker is confined to the folder that it found at its start, with the uid of the owner
		// at that time. Only a new worker can reach a folder that was replaced since.
		l.drop()
		if !answered(err) {
			err = l.once(bound, call)
		}
	}
	return err
}

// answered reports whether the store's own server reported the fault.
func answered(err error) bool {
	var fault *driver.Fault
	return errors.As(err, &fault) && fault.Answered
}

func (l *link) once(ctx context.Context, call func(shadowsync.CredentialStore) error) error {
	err := l.connect(ctx)
	if err == nil {
		err = ctx.Err() // no caller waits any more: the store is for the next one
	}
	if err == nil {
		l.called = true
		err = call(l.store)
	}
	if l.store != nil && !usable(l.store) {
		l.drop()
	}
	return err
}

// usable reports whether a store can still answer: its worker may be dead, or in the middle of an
// answer that no caller waited for.
func usable(s shadowsync.CredentialStore) bool {
	w, ok := s.(interface{ Usable() bool })
	return !ok || w.Usable()
}

func (l *link) connect(ctx context.Context) error {
	if l.store != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openWithin)
	defer cancel()
	store, err := l.open(ctx)
	if err != nil {
		if errors.Is(err, shadowsync.ErrUnavailable) || errors.Is(err, shadowsync.ErrMalformed) {
			return err
		}
		return fmt.Errorf("%w: %w", shadowsync.ErrUnavailable, err)
	}
	l.store, l.opened, l.called = store, time.Now(), false
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

func (l *link) Write(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	left, err := ask(ctx, l, func(ctx context.Context, s shadowsync.CredentialStore) (shadowsync.Unwritten, error) {
		return s.Write(ctx, writes)
	})
	return l.reload.after(ctx, writes, left, "", err)
}

// WriteRead implements shadowsync.WriteReader.
func (l *link) WriteRead(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, *shadowsync.StoreSnapshot, error) {
	type answer struct {
		left shadowsync.Unwritten
		back *shadowsync.StoreSnapshot
	}
	a, err := ask(ctx, l, func(ctx context.Context, s shadowsync.CredentialStore) (a answer, err error) {
		if both, ok := s.(shadowsync.WriteReader); ok {
			a.left, a.back, err = both.WriteRead(ctx, writes)
		} else {
			a.left, err = s.Write(ctx, writes)
		}
		return a, err
	})
	revision := ""
	if a.back != nil {
		revision = a.back.Revision
	}
	a.left, err = l.reload.after(ctx, writes, a.left, revision, err)
	return a.left, a.back, err
}

// Rehearse implements driver.Rehearser.
func (l *link) Rehearse(ctx context.Context) error {
	_, err := ask(ctx, l, func(ctx context.Context, s shadowsync.CredentialStore) (struct{}, error) {
		if r, ok := s.(driver.Rehearser); ok {
			return struct{}{}, r.Rehearse(ctx)
		}
		return struct{}{}, nil
	})
	return err
}

// Watch follows the store while this connection to it is open. The channel closes when the store is
// lost; then the caller must watch again. The time limit applies only to this call: the watch
// itself lasts until ctx ends.
func (l *link) Watch(ctx context.Context) (<-chan struct{}, error) {
	life, end := context.WithCancel(ctx)
	news, err := ask(ctx, l, func(bound context.Context, s shadowsync.CredentialStore) (<-chan struct{}, error) {
		stop := context.AfterFunc(bound, end)
		defer stop()
		return s.Watch(life)
	})
	if err != nil {
		end()
	}
	return news, err
}

// Close closes the store. If it hangs or is being opened or closed after a time-out, the goroutine left
// behind closes it.
func (l *link) Close() error {
	l.mu.Lock()
	l.closed = true
	busy := len(l.turn) > 0
	l.mu.Unlock()
	if busy {
		return nil
	}
	_, _ = inTurn(context.Background(), l, func(context.Context) (struct{}, error) { // see drop
		l.drop()
		return struct{}{}, nil
	})
	return nil
}
