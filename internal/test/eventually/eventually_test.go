package eventually

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// failing is a test that notes how it fails.
type failing struct{ said string }

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic(f)
}

// outcome returns how often Holds looked, for how long it waited, and how it failed.
func outcome(cond func(looks int) bool) (looks int, took time.Duration, said string) {
	begun, f := time.Now(), &failing{}
	defer func() {
		if v := recover(); v != nil && v != any(f) {
			panic(v)
		}
		took, said = time.Since(begun), f.said
	}()
	Holds(f, "the ship", func() bool { looks++; return cond(looks) })
	return looks, took, said
}

func TestHolds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cond  func(int) bool
		looks int
		took  time.Duration
	}{
		{"at once", func(int) bool { return true }, 1, 0},
		{"soon", func(looks int) bool { return looks == 4 }, 4, 7 * time.Millisecond}, // 1 + 2 + 4
		{"looks that take long", func(looks int) bool { time.Sleep(20 * time.Millisecond); return looks == 3 }, 3, (20 + 80 + 20 + 80 + 20) * time.Millisecond},
		{"looks that take very long", func(looks int) bool { time.Sleep(time.Second); return looks == 2 }, 2, 2500 * time.Millisecond},
		{"after longer pauses", func(looks int) bool { return looks == 9 }, 9, (1 + 2 + 4 + 8 + 16 + 32 + 50 + 50) * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				looks, took, said := outcome(tt.cond)
				if looks != tt.looks || took != tt.took || said != "" {
					t.Errorf("%d looks in %v, said %q; want %d in %v", looks, took, said, tt.looks, tt.took)
				}
			})
		})
	}
}

// TestNeverHolds: a test that waits in vain fails within bounds, and says for what.
func TestNeverHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, took, said := outcome(func(int) bool { return false })
		if took < patience || took > patience+longest || looks < 1000 {
			t.Errorf("%d looks in %v", looks, took)
		}
		if !strings.Contains(said, "the ship") {
			t.Errorf("failed with %q", said)
		}
	})
}
