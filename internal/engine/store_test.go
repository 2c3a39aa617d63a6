package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// watched is a store whose watch alone matters.
type watched struct {
	shadowsync.CredentialStore
	watch  func(context.Context) (<-chan struct{}, error)
	closed bool
}

func (w *watched) Watch(ctx context.Context) (<-chan struct{}, error) { return w.watch(ctx) }
func (w *watched) Close() error                                       { w.closed = true; return nil }

func lost(context.Context) (<-chan struct{}, error) { return nil, shadowsync.ErrUnavailable }

func hangs(ctx context.Context) (<-chan struct{}, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// opened is a link with an open store and a function that opens it again.
func opened(s shadowsync.CredentialStore, timeout time.Duration, open func(context.Context) (shadowsync.CredentialStore, error)) *link {
	return &link{store: s, open: open, timeout: timeout, turn: make(chan struct{}, 1)}
}

// lives is a watch without news until ctx ends.
func lives(ctx context.Context) (<-chan struct{}, error) {
	news := make(chan struct{}, 1)
	context.AfterFunc(ctx, func() { close(news) })
	return news, nil
}

func TestWatchLeavesALostStore(t *testing.T) {
	dead := &watched{watch: lost}
	alive := &watched{watch: lives}
	l := opened(dead, 50*time.Millisecond, func(context.Context) (shadowsync.CredentialStore, error) { return alive, nil })
	ctx, cancel := context.WithCancel(t.Context())
	news, err := l.Watch(ctx)
	if err != nil || !dead.closed {
		t.Fatalf("watched %v, the lost store closed: %v", err, dead.closed)
	}
	select {
	case <-news:
		t.Error("the watch ended with the bound of its call")
	case <-time.After(2 * l.timeout):
	}
	cancel()
	if _, open := <-news; open {
		t.Error("news instead of the end")
	}
}

func TestWatchOfAHungStoreIsBounded(t *testing.T) {
	hung := &watched{watch: hangs}
	l := opened(hung, 20*time.Millisecond, func(context.Context) (shadowsync.CredentialStore, error) { return &watched{watch: hangs}, nil })
	done := make(chan error)
	go func() { _, err := l.Watch(t.Context()); done <- err }()
	select {
	case err := <-done:
		l.turn <- struct{}{} // wait until the hung goroutine has ended
		if err == nil || !hung.closed {
			t.Errorf("watched %v, closed %v", err, hung.closed)
		}
	case <-time.After(time.Minute):
		t.Fatal("it hangs, and holds the store for everybody")
	}
}

// failing is a store that cannot be read.
type failing struct {
	shadowsync.CredentialStore
	dead bool
}

func (f *failing) Usable() bool { return !f.dead }
func (f *failing) Close() error { return nil }
func (f *failing) Revision(context.Context) (string, error) {
	return "", shadowsync.ErrUnavailable
}

func TestOpenedAnewWhereThatMayHelp(t *testing.T) {
	for _, tt := range []struct {
		name string
		age  time.Duration
		dead bool
		want int
	}{
		{"just opened", 0, false, 0},
		{"opened a while ago", time.Minute, false, 1},
		{"just opened and dead", 0, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			times := 0
			l := opened(&failing{dead: tt.dead}, time.Minute, func(context.Context) (shadowsync.CredentialStore, error) {
				times++
				return &failing{}, nil
			})
			l.opened = time.Now().Add(-tt.age)
			if _, err := l.Revision(t.Context()); !errors.Is(err, shadowsync.ErrUnavailable) {
				t.Errorf("it says %v", err)
			}
			if times != tt.want {
				t.Errorf("opened anew %d times, want %d", times, tt.want)
			}
			if l.store == nil {
				t.Error("the next call has to open it again")
			}
		})
	}
}

// TestAHangThatNoDeadlineEnds: a system call on a dead disk ignores the context. Each call still
// returns in time, at most one goroutine stays behind, and the store is called again once the hang
// ends.
func TestAHangThatNoDeadlineEnds(t *testing.T) {
	const timeout = 20 * time.Millisecond
	heals, alive := make(chan struct{}), &watched{watch: lives}
	var begun, ended atomic.Int64
	l := opened(nil, timeout, func(context.Context) (shadowsync.CredentialStore, error) {
		begun.Add(1)
		<-heals
		ended.Add(1)
		return alive, nil
	})
	for range 5 {
		begin := time.Now()
		_, err := l.Read(t.Context(), nil)
		if took := time.Since(begin); !errors.Is(err, shadowsync.ErrUnavailable) || took > timeout+10*time.Second {
			t.Fatalf("after %v: %v", took, err)
		}
		l.rest = time.Time{}  // as if the rest were over
		l.timeout = time.Hour // only the first caller waits
	}
	begin := time.Now()
	if err := l.Close(); err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("closed after %v: %v", time.Since(begin), err)
	}
	if n := begun.Load(); n != 1 {
		t.Errorf("%d attempts hang, want one at a time", n)
	}
	l.timeout = time.Minute
	close(heals)
	l.turn <- struct{}{} // the goroutine left behind has ended
	<-l.turn
	if !alive.closed {
		t.Error("what nobody waited for was left open")
	}
	if _, err := l.Watch(t.Context()); err != nil || ended.Load() != 2 {
		t.Errorf("opened %d times, watched: %v", ended.Load(), err)
	}
}

// TestOpenedTooLate: a store whose opening takes longer than its caller waits, such as by the look-up of its
// server's name, is open for the next caller. Otherwise each would begin anew, and none ever reach it.
func TestOpenedTooLate(t *testing.T) {
	opens, alive := make(chan struct{}), &watched{watch: lives}
	times := 0
	l := opened(nil, 20*time.Millisecond, func(ctx context.Context) (shadowsync.CredentialStore, error) {
		times++
		select {
		case <-opens:
			return alive, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	if _, err := l.Watch(t.Context()); !errors.Is(err, errNoAnswer) {
		t.Errorf("it says %v", err)
	}
	close(opens)
	l.turn <- struct{}{} // the goroutine left behind has ended
	<-l.turn
	l.rest, l.timeout = time.Time{}, time.Minute // as if the rest were over
	if _, err := l.Watch(t.Context()); err != nil || times != 1 || alive.closed {
		t.Errorf("opened %d times, closed %v, watched: %v", times, alive.closed, err)
	}
	if err := l.Close(); err != nil || !alive.closed {
		t.Errorf("closed %v: %v", alive.closed, err)
	}
}

// waiting is a store that waits long for a lock, and says so.
type waiting struct {
	shadowsync.CredentialStore
	wait  time.Duration
	asked int
}

func (w *waiting) Close() error { return nil }
func (w *waiting) Revision(ctx context.Context) (string, error) {
	w.asked++
	select {
	case <-ctx.Done():
	case <-time.After(w.wait):
	}
	return "", &driver.Fault{Kind: shadowsync.ErrUnavailable, Reason: "locked", Answered: true}
}

// TestALongWaitIsNotRepeated: the next call of the same passwd does not wait for the lock again.
func TestALongWaitIsNotRepeated(t *testing.T) {
	locked := &waiting{wait: 60 * time.Millisecond}
	l := opened(locked, 80*time.Millisecond, nil)
	l.opened = time.Now()
	for range 3 {
		if _, err := l.Revision(t.Context()); !errors.Is(err, shadowsync.ErrUnavailable) {
			t.Errorf("it says %v", err)
		}
	}
	if locked.asked != 1 {
		t.Errorf("it was asked %d times", locked.asked)
	}
}
