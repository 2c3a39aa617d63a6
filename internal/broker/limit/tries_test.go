package limit

import (
	"fmt"
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

// TestTriesAreBounded: whoever fails under ever new names fills no memory, and only the oldest are
// forgotten.
func TestTriesAreBounded(t *testing.T) {
	var tries Tries
	now := time.Now()
	for i := range Free * (triesKept + 100) {
		now = now.Add(time.Millisecond)
		tries.Fail(fmt.Sprint(i/Free), now)
	}
	if n := len(tries.failed); n != triesKept {
		t.Errorf("%d names are kept, want %d", n, triesKept)
	}
	for name, delayed := range map[string]bool{"0": false, "99": false, fmt.Sprint(triesKept + 99): true} {
		if wait := tries.Wait(name, now); (wait > 0) != delayed {
			t.Errorf("%s waits %v", name, wait)
		}
	}
}
