package machine

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// always is the number of machines that run at a time whatever the host does besides.
	always = 2
	// busy is a share of time, in percent, in which something waited for a processor. On two of them, three
	// scenes that mostly wait make 20 to 30; far above that the product runs into its own time limits.
	busy = 50
	// apart is about how long a machine boots.
	apart = time.Second
	// longestTurn is how long a test waits on a host that is always busy.
	longestTurn  = 2 * time.Minute
	betweenLooks = 250 * time.Millisecond
)

// A pace lets tests boot their machines one after the other, each when the processors have room. So as many tests
// run at a time as the host can take, whether it is fast or slow: go test -parallel alone must be right for both.
type pace struct {
	pressure func() float64 // percent of the last ten seconds
	running  atomic.Int32   // machines that have had their turn and have not left

	mu   sync.Mutex
	last time.Time
}

var hostPace = &pace{pressure: cpuPressure}

// enter waits for a turn. The caller calls leave when its machine has ended.
func (p *pace) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for began := time.Now(); p.running.Load() >= always && time.Since(began) < longestTurn; time.Sleep(betweenLooks) {
		if time.Since(p.last) >= apart && p.pressure() < busy {
			break
		}
	}
	p.running.Add(1)
	p.last = time.Now()
}

func (p *pace) leave() { p.running.Add(-1) }

// cpuPressure is "some avg10" of /proc/pressure/cpu (Documentation/accounting/psi.rst of Linux). A kernel without it
// is never busy.
func cpuPressure() float64 {
	text, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return 0
	}
	return someOfTenSeconds(string(text))
}

func someOfTenSeconds(text string) float64 {
	_, rest, _ := strings.Cut(text, "some avg10=")
	number, _, _ := strings.Cut(rest, " ")
	percent, _ := strconv.ParseFloat(number, 64) // 0 if the kernel writes something else
	return percent
}
