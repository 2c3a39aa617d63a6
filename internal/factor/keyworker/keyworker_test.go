package keyworker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// TestAKeyThatHangs: one caller waits for a unit that does not start. Who comes behind it gets the same
// answer at once, and after a rest somebody tries again.
func TestAKeyThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := 0
		k := &Key{Name: "factor-key", Start: func(ctx context.Context) (*worker.Process, error) {
			starts++
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		begun := time.Now()
		for range 4 {
			if _, err := k.Get(); !errors.As(err, new(*factor.KeyError)) {
				t.Errorf("%v", err)
			}
		}
		if took := time.Since(begun); took != answerWithin || starts != 1 {
			t.Errorf("%d starts, all in %v", starts, took)
		}
		<-time.After(restAfter)
		if _, err := k.Get(); err == nil || starts != 2 {
			t.Errorf("%d starts: %v", starts, err)
		}
	})
}
