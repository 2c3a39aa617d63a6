package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// watched is a store of which only the watch matters.
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

func TestWatchLeavesALostStore(t *testing.T) {
	dead := &watched{watch: lost}
	alive := &watched{watch: func(ctx context.Context) (<-chan struct{}, error) {
		news := make(chan struct{}, 1)
		context.AfterFunc(ctx, func() { close(news) })
		return news, nil
	}}
	l := &link{store: dead, timeout: 50 * time.Millisecond}
	l.open = func(context.Context) (shadowsync.CredentialStore, error) { return alive, nil }
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
	l := &link{store: hung, timeout: 20 * time.Millisecond}
	l.open = func(context.Context) (shadowsync.CredentialStore, error) { return &watched{watch: hangs}, nil }
	done := make(chan error)
	go func() { _, err := l.Watch(t.Context()); done <- err }()
	select {
	case err := <-done:
		if err == nil || !hung.closed {
			t.Errorf("watched %v, closed %v", err, hung.closed)
		}
	case <-time.After(5 * time.Second):
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
			opened := 0
			l := &link{store: &failing{dead: tt.dead}, opened: time.Now().Add(-tt.age), timeout: time.Minute}
			l.open = func(context.Context) (shadowsync.CredentialStore, error) {
				opened++
				return &failing{}, nil
			}
			if _, err := l.Revision(t.Context()); !errors.Is(err, shadowsync.ErrUnavailable) {
				t.Errorf("it says %v", err)
			}
			if opened != tt.want {
				t.Errorf("opened anew %d times, want %d", opened, tt.want)
			}
			if l.store == nil {
				t.Error("the next call has to open it again")
			}
		})
	}
}
