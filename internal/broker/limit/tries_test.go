package limit

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestBeginAtOnce: of many attempts at the same moment no more begin than are free.
func TestBeginAtOnce(t *testing.T) {
	for range 2000 {
		var attempts Tries
		var begun atomic.Int64
		var all sync.WaitGroup
		start, now := make(chan struct{}), time.Now()
		for range 4 * Free {
			all.Go(func() {
				<-start
				if attempts.Begin("admin", now) == 0 {
					begun.Add(1)
				}
			})
		}
		close(start)
		all.Wait()
		if n := begun.Load(); n != Free {
			t.Fatalf("%d began, want %d", n, Free)
		}
	}
}
