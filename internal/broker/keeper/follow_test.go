package keeper

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestFollow: a store without a watch is asked every 30 seconds, and one with a watch only when it
// has news.
func TestFollow(t *testing.T) {
	quiet := make(chan struct{})
	for name, c := range map[string]struct {
		watch func() (<-chan struct{}, error)
		want  []time.Duration // of the first five minutes, when the store was looked at
	}{
		"with a watch":    {func() (<-chan struct{}, error) { return quiet, nil }, []time.Duration{0}},
		"without a watch": {func() (<-chan struct{}, error) { return nil, shadowsync.ErrNoWatch }, every(30*time.Second, 10)},
		"unavailable":     {func() (<-chan struct{}, error) { return nil, errors.New("down") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				k := &Keeper{news: make(chan struct{}, 1)}
				began := time.Now()
				var got []time.Duration
				over := make(chan struct{})
				go func() {
					defer close(over)
					k.follow(ctx, func(ctx context.Context) (<-chan struct{}, error) {
						news, err := c.watch()
						if err != nil {
							return nil, err
						}
						return until(ctx, news), nil
					})
				}()
				for ctx.Err() == nil {
					select {
					case <-k.news:
						got = append(got, time.Since(began))
					case <-ctx.Done():
					}
				}
				<-over
				if len(got) != len(c.want) {
					t.Fatalf("looked at %v, want %v", got, c.want)
				}
				for i := range got {
					if got[i] != c.want[i] {
						t.Errorf("look %d came after %v, want %v", i, got[i], c.want[i])
					}
				}
			})
		})
	}
}

func every(pause time.Duration, n int) (times []time.Duration) {
	for i := range n {
		times = append(times, time.Duration(i)*pause)
	}
	return times
}

// until closes what it returns when ctx ends, as a watch does.
func until(ctx context.Context, news <-chan struct{}) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		defer close(out)
		select {
		case <-ctx.Done():
		case <-news:
		}
	}()
	return out
}
