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
	for text, want := range map[string]float64{
		"some avg10=52.81 avg60=47.71 avg300=36.39 total=788026841\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=0\n": 52.81,
		"": 0, "some avg60=1.00": 0, "some avg10=much avg60=1.00": 0,
	} {
		if got := someOfTenSeconds(text); got != want {
			t.Errorf("%q: %v %%, want %v", text, got, want)
		}
	}
}
