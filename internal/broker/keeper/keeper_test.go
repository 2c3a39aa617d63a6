package keeper

import (
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestNextLook: the end of a guard at its limit is reported at once, with or without a pending
// retry, and however long the retry pause is by then.
func TestNextLook(t *testing.T) {
	for name, c := range map[string]struct {
		again bool
		pause time.Duration
		guard time.Duration // its limit, from now on; 0: none
		want  time.Duration
	}{
		"nothing to do":                   {false, firstRetry, 0, 0},
		"another attempt":                 {true, lastRetry, 0, lastRetry},
		"the guard ends before":           {true, lastRetry, 10 * time.Second, 10*time.Second + guardMargin},
		"the guard ends after":            {true, 4 * time.Second, time.Hour, 4 * time.Second},
		"a conflict that guards":          {false, firstRetry, time.Hour, time.Hour + guardMargin},
		"systemd is slow to take it away": {false, firstRetry, -time.Minute, firstRetry},
	} {
		t.Run(name, func(t *testing.T) {
			k := &Keeper{GuardUntil: func() (until time.Time) {
				if c.guard != 0 {
					until = time.Now().Add(c.guard)
				}
				return until
			}}
			if got := k.nextLook(shadowsync.Report{}, c.again, c.pause).Round(100 * time.Millisecond); got != c.want.Round(100*time.Millisecond) {
				t.Errorf("wait %v, want %v", got, c.want)
			}
		})
	}
}
