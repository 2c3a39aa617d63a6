package machine

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace: a test waits while the host is busy, but not for ever, and not if few machines run.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var load atomic.Int32
		p := &pace{pressure: func() float64 { return float64(load.Load()) }}
		waits := func(what string, want time.Duration) {
			t.Helper()
			began := time.Now()
			p.enter()
			if took := time.Since(began); took < want || took > want+betweenLooks {
				t.Errorf("%s: it waits %v, want %v", what, took, want)
			}
		}
		for range always {
			waits("the first ones", 0)
		}
		waits("one more", apart)
		load.Store(busy)
		waits("a busy host", longestTurn)
		go func() {
			time.Sleep(20 * time.Second)
			load.Store(busy - 1)
		}()
		waits("a host that becomes idle", 20*time.Second)
		load.Store(busy)
		for range 4 {
			p.leave()
		}
		waits("a busy host where one machine runs", 0)
		go func() {
			time.Sleep(10 * time.Second)
			p.leave()
		}()
		waits("a machine ends", 10*time.Second)
	})
}

func TestCPUPressure(t *testing.T) {
	if percent := cpuPressure(); percent < 0 || percent > 100 {
		t.Errorf("%v %%", percent)
	}
}
