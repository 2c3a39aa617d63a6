package scenes

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// resting is how long the test watches the idle broker and its worker.
const resting = 30 * time.Second

// quietFor is longer than a process waits after its last work before it gives memory back.
const quietFor = 4 * time.Second

// atRest is the memory that broker and worker may take together, in kB: a tenth more than was measured.
// A position-independent program has a megabyte of addresses in each process that it cannot share.
const atRest = 15 << 10

// TestAtRest: with nothing to do, the broker and its store worker take little memory and almost
// no time.
func TestAtRest(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	units := []string{"shadowsync.service", storeWorkerUnit}
	total := s.rests(units)
	for tries := 1; total > atRest && tries < 5; tries++ {
		total = min(total, s.rests(units))
	}
	if total > atRest {
		t.Errorf("%d kB PSS together, want at most %d", total, atRest)
	}
	for unit, n := range s.wakeUps(units) {
		t.Logf("%s: %d wake-ups in %v", unit, n, resting)
		if n > 2 { // the watchdog wakes it once a minute, and this may span two seconds
			t.Errorf("%s wakes up %d times in %v", unit, n, resting)
		}
	}
}

// rests returns the memory of the units when they are quiet after work. On a busy host a thread may finish
// its own part after the memory was given back; what it needs is mapped again, until the next work ends.
func (s *stage) rests(units []string) (total int) {
	s.t.Helper()
	for i := range 3 {
		s.passwd("admin", fmt.Sprintf("Rest-%d-velvet-x", i))
	}
	s.settles("admin")
	s.quiet(units)
	for _, unit := range units {
		total += s.pss(unit)
	}
	s.t.Logf("%d kB PSS together", total)
	return total
}

// wakeUps counts the seconds in which any thread of a unit ran, because one cause wakes several threads.
func (s *stage) wakeUps(units []string) map[string]int {
	s.t.Helper()
	n, before := map[string]int{}, map[string]int{}
	for range int(resting / time.Second) {
		for _, unit := range units {
			now := s.switches(unit)
			if before[unit] != 0 && now != before[unit] {
				n[unit]++
			}
			before[unit] = now
		}
		time.Sleep(time.Second) // it counts seconds
	}
	return n
}

// quiet waits until no thread of the units has run for a while: what follows work, such as ending
// sessions and giving memory back, is over.
func (s *stage) quiet(units []string) {
	s.t.Helper()
	before, since := 0, time.Now()
	s.WaitFor("quiet after work", machine.Patience, func() bool {
		now := 0
		for _, unit := range units {
			now += s.switches(unit)
		}
		if now != before {
			before, since = now, time.Now()
		}
		return time.Since(since) > quietFor
	})
}

// switches counts how often the threads of a unit were taken off a processor.
func (s *stage) switches(unit string) int {
	s.t.Helper()
	return s.number("awk '/ctxt_switches/ { n += $2 } END { print n }' /proc/$(cat /sys/fs/cgroup/system.slice/" + unit + "/cgroup.procs)/task/*/status")
}

func (s *stage) pss(unit string) int {
	s.t.Helper()
	return s.number("awk '/^Pss:/ { print $2 }' /proc/$(systemctl show -P MainPID " + unit + ")/smaps_rollup")
}

func (s *stage) number(script string) int {
	s.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s.MustShell(script)))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
