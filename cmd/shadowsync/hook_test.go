package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine/hook"
	"github.com/shadowsync/shadowsync/internal/state"
)

// TestRepeated: a hook runs with a new engine as often as the state is replaced or the configuration
// changes, with growing pauses, and ends with its context.
func TestRepeated(t *testing.T) {
	replaced, broken := fmt.Errorf("cannot commit: %w", state.ErrReplaced), errors.New("broken")
	for name, c := range map[string]struct {
		results []error // the last one repeats
		long    time.Duration
		want    error
		runs    int
		took    time.Duration
	}{
		"done":                  {[]error{nil}, 0, nil, 1, 0},
		"another error":         {[]error{broken}, 0, broken, 1, 0},
		"replaced three times":  {[]error{replaced, replaced, replaced, nil}, 0, nil, 4, 140 * time.Millisecond},
		"outdated and replaced": {[]error{hook.ErrOutdated, replaced, broken}, 0, broken, 3, 60 * time.Millisecond},
		"for ever":              {[]error{replaced}, 0, replaced, 19, hook.Limit},
		"now and then":          {[]error{replaced, replaced, nil}, time.Minute, nil, 3, 3*time.Minute + 40*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if c.long == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), hook.Limit)
				}
				defer cancel()
				runs, begun := 0, time.Now()
				err := repeated(ctx, func(last bool) error {
					time.Sleep(c.long)
					runs++
					if want := c.long == 0 && runs > 5; last != want {
						t.Errorf("run %d is the last: %v", runs, last)
					}
					return c.results[min(runs, len(c.results))-1]
				})
				if !errors.Is(err, c.want) || c.want == nil && err != nil || runs != c.runs || time.Since(begun) != c.took {
					t.Errorf("%d runs in %v, %v; want %d in %v, %v", runs, time.Since(begun), err, c.runs, c.took, c.want)
				}
			})
		})
	}
}
