package scenes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/machine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// slack is what a step may take longer than it should on a machine that others use too.
const slack = 800 * time.Millisecond

// queued is what passwd says when nobody answers.
const queued = "queued (shadowsync did not answer in time); it is persisted before the next start of " + machine.ApplianceUnit

// within asserts how long an act takes, and returns it.
func (s *stage) within(what string, bound time.Duration, act func()) time.Duration {
	s.t.Helper()
	begun := time.Now()
	act()
	took := time.Since(begun)
	s.t.Logf("%s: %v", what, took.Round(time.Millisecond))
	if took > bound {
		s.t.Errorf("%s took %v, want at most %v", what, took, bound)
	}
	return took
}

// askAgain lets the PAM module ask at once: after a time-out it is silent for half a minute.
func (s *stage) askAgain() { s.t.Helper(); s.Must("rm", "-f", "/run/shadowsync/pam-timeout") }

func (s *stage) signalBroker(signal string) {
	s.t.Helper()
	s.Must("systemctl", "kill", "--kill-who=main", "-s", signal, "shadowsync.service")
}

// TestDaemonHangs: passwd, chpasswd and the hooks wait for a daemon that does not
// answer, but not for long.
func TestDaemonHangs(t *testing.T) {
	s := set(t, machine.Bookworm, machine.Appliance{})
	healthy := time.Minute
	for i := range 3 {
		took := s.within("passwd", time.Minute, func() { s.says(s.passwd("admin", fmt.Sprintf("Well-%d-velvet-x", i)), "persisted in") })
		healthy = min(healthy, took)
	}
	s.signalBroker("STOP")
	s.scene("passwd", func(s *stage) {
		s.within("passwd", healthy+2*time.Second+slack, func() { s.says(s.passwd("admin", "Hang-1-velvet-x"), queued) })
		s.within("the next passwd", healthy+slack, func() { s.passwd("admin", "Hang-2-velvet-x") })
	})
	s.scene("chpasswd of 1,000 lines", func(s *stage) {
		// The cheapest hash, or the hashing would hide what is measured.
		s.MustShell("cd /etc/pam.d && sed -i.was 's/yescrypt/sha512 rounds=1000/' common-password && sed -i.with /pam_shadowsync/d common-password")
		lines := strings.Repeat("admin:Hang-3-velvet-x\n", 999) + "admin:Hang-4-velvet-x\n"
		alone := s.within("without the module", time.Minute, func() { s.Input(lines).Must("chpasswd") })
		s.MustShell("cd /etc/pam.d && mv common-password.with common-password")
		s.askAgain()
		s.within("with the module", alone+alone/2+3*time.Second, func() { s.Input(lines).Must("chpasswd") })
		s.MustShell("cd /etc/pam.d && mv common-password.was common-password")
	})
	s.scene("hooks", func(s *stage) {
		for _, moment := range []string{"post-stop", "pre-start", "post-start"} {
			s.within(moment, 10*time.Second, func() { s.Must("shadowsync", "hook", moment, "--unit", machine.ApplianceUnit) })
		}
		s.within("restart", 20*time.Second, s.restart)
	})
	s.scene("it goes on", func(s *stage) {
		s.signalBroker("CONT")
		s.askAgain()
		s.settles("admin")
		s.opens("admin", "Hang-4-velvet-x", "Hang-1-velvet-x")
	})
	s.scene("its socket gone", func(s *stage) {
		s.Must("rm", "/run/shadowsync/root.sock")
		s.within("passwd", healthy+slack, func() { s.says(s.passwd("admin", "Hang-5-velvet-x"), queued) })
		s.settles("admin") // the watch saw it
		s.restart()
		s.opens("admin", "Hang-5-velvet-x", "Hang-4-velvet-x")
	})
}

// TestStoppedWithTheLock: the daemon is stopped while it holds the engine lock, and
// everybody else goes on within their bounds.
func TestStoppedWithTheLock(t *testing.T) {
	s := armed(t)
	for i, step := range []shadowsync.Step{shadowsync.StepJournalled, shadowsync.StepPersisted, shadowsync.StepCommitted} {
		s.scene(string(step), func(s *stage) {
			password := func(n int) string { return fmt.Sprintf("Lock-%d%d-velvet-x", i, n) }
			bystanders := s.bystanders("admin")
			s.arm("stop:" + step)
			s.within("passwd", 2*time.Second+2*slack, func() { s.says(s.passwd("admin", password(0)), queued) })
			s.isStopped()
			s.askAgain()
			s.within("the next passwd", 2*time.Second+2*slack, func() { s.passwd("admin", password(1)) })
			s.within("status", 5*time.Second, func() { s.Must("shadowsync", "status") })
			last := password(1)
			acts := []func(){
				func() { s.within("restart", 25*time.Second, s.restart) },
				func() {
					last = password(2)
					s.within("user set password", 10*time.Second, func() {
						s.Input(last+"\n").Must("shadowsync", "user", "set", "password", "admin", "--stdin")
					})
					s.holdsBoth(last)
				},
			}
			acts[i%2]() // the first takes the lock over, the second finds it free
			s.holdsBoth(last)
			acts[1-i%2]()
			s.holdsBoth(last)
			s.signalBroker("CONT")
			s.askAgain()
			s.settles("admin")
			s.holdsBoth(last)
			if s.bystanders("admin") != bystanders {
				s.t.Error("other lines of the shadow file changed")
			}
			s.disarm()
		})
	}
	s.restart()
	s.opens("admin", "Lock-22-velvet-x", "Lock-21-velvet-x")
	s.Must("shadowsync", "audit", "--verify")
}

func (s *stage) isStopped() {
	s.t.Helper()
	if state := s.Must("ps", "-o", "state=", "-p", s.brokerPID()); strings.TrimSpace(state) != "T" {
		s.t.Errorf("the daemon is not stopped, but %q", state)
	}
}

func (s *stage) holdsBoth(password string) {
	s.t.Helper()
	if !s.bothOpen("admin", password) {
		s.t.Errorf("%q is not admin's password on both sides", password)
	}
}
