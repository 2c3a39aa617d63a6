package machine

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPace: a test waits while the host is busy, but not for ever, and for the machine that was booted before it.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := 0.0
		p := &pace{pressure: func() float64 { return load }}
		waits := func() time.Duration {
			began := time.Now()
			p.wait()
			return time.Since(began)
		}
		if took := waits(); took != 0 {
			t.Errorf("the first waits %v", took)
		}
		if took := waits(); took != apart {
			t.Errorf("the second waits %v", took)
		}
		load = busy
		if took := waits(); took != longestTurn {
			t.Errorf("on a busy host it waits %v", took)
		}
		go func() {
			time.Sleep(20 * time.Second)
			load = busy - 1
		}()
		if took := waits(); took < 20*time.Second || took > 20*time.Second+betweenLooks {
			t.Errorf("on a host that becomes idle it waits %v", took)
		}
	})
}

func TestCPUPressure(t *testing.T) {
	if percent := cpuPressure(); percent < 0 || percent > 100 {
		t.Errorf("%v %%", percent)
	}
}
