package keeper

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestGate: news waits for every announcement in progress, but no longer than one may take.
func TestGate(t *testing.T) {
	for name, c := range map[string]struct {
		inside []time.Duration // how long each announcement takes
		want   time.Duration
	}{
		"nobody":     {nil, 0},
		"one":        {[]time.Duration{time.Second}, time.Second},
		"the longer": {[]time.Duration{time.Second, time.Second / 2}, time.Second},
		"for ever":   {[]time.Duration{time.Hour}, AnswerWithin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g gate
				for _, long := range c.inside {
					time.AfterFunc(long, g.begin())
				}
				start := time.Now()
				g.wait(t.Context())
				if took := time.Since(start); took != c.want {
					t.Errorf("waited %v, want %v", took, c.want)
				}
			})
		})
	}
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var g gate
		end := g.begin()
		defer end()
		g.wait(ctx)
	})
}
