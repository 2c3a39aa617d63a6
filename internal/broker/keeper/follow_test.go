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
	for name, c := range map[string]struct {
		err  error           // of the watch
		want []time.Duration // of the first five minutes, when the store was looked at
	}{
		"with a watch":    {nil, []time.Duration{0}},
		"without a watch": {shadowsync.ErrNoWatch, every(30*time.Second, 10)},
		"unavailable":     {errors.New("down"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute-time.Second)
				defer cancel()
				k := &Keeper{news: make(chan struct{}, 1)}
				began := time.Now()
				var got []time.Duration
				over := make(chan struct{})
				go func() {
					defer close(over)
					k.follow(ctx, func(ctx context.Context) (<-chan struct{}, error) {
						news := make(chan struct{})
						context.AfterFunc(ctx, func() { close(news) })
						return news, c.err
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
