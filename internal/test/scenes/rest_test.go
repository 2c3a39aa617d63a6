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

// mostWakeUps is how often a unit may wake up in that time: its watchdog does it once a minute, and this may span two
// seconds.
const mostWakeUps = 2

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
	for tries := 1; !s.sleeps(units); tries++ {
		if tries == 4 {
			t.Fatalf("they wake up more than %d times in %v", mostWakeUps, resting)
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

// sleeps watches the units for a while. While other machines of this host are busy, some event of the kernel wakes the
// units of all machines at the same moment. It is no timer of ours, so another while is without it.
func (s *stage) sleeps(units []string) bool {
	s.t.Helper()
	still := true
	for unit, at := range s.wakeUps(units) {
		s.t.Logf("%s: wake-ups in %v: after %v", unit, resting, at)
		still = still && len(at) <= mostWakeUps
	}
	return still
}

// wakeUps returns the seconds in which any thread of a unit ran, because one cause wakes several threads.
func (s *stage) wakeUps(units []string) map[string][]time.Duration {
	s.t.Helper()
	at, before, begun := map[string][]time.Duration{}, map[string]int{}, time.Now()
	for range int(resting / time.Second) {
		for _, unit := range units {
			now := s.switches(unit)
			if before[unit] != 0 && now != before[unit] {
				at[unit] = append(at[unit], time.Since(begun).Round(time.Second))
			}
			before[unit] = now
		}
		time.Sleep(time.Second) // it counts seconds
	}
	return at
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
