package scenes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine/hook"
	"github.com/shadowsync/shadowsync/internal/test/machine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// slack is the extra time that a step may take because other tests use the host too. It is shorter
// than the two seconds of a time-out, so that one time-out too many does not pass.
const slack = 1500 * time.Millisecond

// queued is what passwd says when shadowsync does not answer.
const queued = "queued (shadowsync did not answer in time); it is persisted before the next start of " + machine.ApplianceUnit

// within asserts that an act takes no longer than bound, and returns how long it took.
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

// askAgain lets the PAM module ask again at once: after a time-out it does not ask for half a minute.
func (s *stage) askAgain() { s.t.Helper(); s.Must("rm", "-f", "/run/shadowsync/pam-timeout") }

func (s *stage) signalBroker(signal string) {
	s.t.Helper()
	s.Must("systemctl", "kill", "--kill-who=main", "-s", signal, "shadowsync.service")
}

// TestDaemonHangs: passwd, chpasswd and the hooks wait only a short time for a daemon that
// does not answer.
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
	alone := s.chpasswdAlone()
	s.scene("chpasswd of 1,000 lines", func(s *stage) { s.chpasswd(alone) })
	s.scene("hooks", func(s *stage) {
		for _, moment := range []string{"post-stop", "pre-start", "post-start"} {
			s.within(moment, hook.Limit+slack, func() { s.Must("shadowsync", "hook", moment, "--unit", machine.ApplianceUnit) })
		}
		s.within("restart", 20*time.Second, s.restart)
	})
	s.scene("it goes on", func(s *stage) {
		s.signalBroker("CONT")
		s.askAgain()
		s.settles("admin")
		s.settles("user222")
		s.opens("admin", "Hang-2-velvet-x", "Hang-1-velvet-x")
	})
	s.scene("its socket gone", func(s *stage) {
		s.Must("rm", "/run/shadowsync/root.sock")
		s.within("passwd", healthy+slack, func() { s.says(s.passwd("admin", "Hang-5-velvet-x"), queued) })
		s.settles("admin") // the watch saw the change
		s.restart()
		s.opens("admin", "Hang-5-velvet-x", "Hang-2-velvet-x")
	})
	s.scene("all sockets gone, and the daemon", func(s *stage) {
		s.MustShell("systemctl stop shadowsync.socket shadowsync-operator.socket shadowsync.service")
		s.chpasswd(alone)
		s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
		s.settles("user222")
	})
	s.scene("the watchdog ends it", func(s *stage) {
		// The unit's own limits, two minutes and ten seconds to end, are too long for a test.
		s.WriteFile("/run/systemd/system/shadowsync.service.d/50-fast.conf", "[Service]\nWatchdogSec=2s\nTimeoutStopSec=1s\n", 0o644)
		s.MustShell("systemctl daemon-reload && systemctl restart shadowsync.service")
		stuck := s.brokerPID()
		s.signalBroker("STOP")
		s.eventually("another broker serves", machine.Patience, func() bool {
			pid := s.brokerPID()
			return pid != stuck && pid != "0" && s.Run("systemctl", "is-active", "shadowsync.service").Code == 0
		})
		s.says(s.Must("systemctl", "show", "-P", "NRestarts", "shadowsync.service"), "1")
		s.askAgain()
		s.says(s.passwd("admin", "Hang-6-velvet-x"), "persisted in")
	})
}

// cheap makes hashing cheap; otherwise its time would hide what is measured.
const cheap = "cd /etc/pam.d && cp common-password common-password.was && sed -i 's/yescrypt/sha512 rounds=1000/' common-password"

// chpasswdAlone returns how long chpasswd takes for 1,000 lines without our module.
func (s *stage) chpasswdAlone() time.Duration {
	s.t.Helper()
	s.MustShell(cheap + " && sed -i /pam_shadowsync/d common-password")
	defer s.MustShell("cd /etc/pam.d && mv common-password.was common-password")
	return s.thousand("without the module", "Alone-velvet-x")
}

// thousand gives chpasswd 1,000 lines; the password of the last one counts. All are for
// user222, because an account's past has bounds: see shadowsync.Past. It returns the time of
// the faster of two tries, because other tests use the same processors.
func (s *stage) thousand(what, password string) (took time.Duration) {
	s.t.Helper()
	lines := strings.Repeat("user222:Crowd-0-velvet-x\n", 999) + "user222:" + password + "\n"
	for i := range 2 {
		s.askAgain()
		once := s.within(what, time.Minute, func() { s.Input(lines).Must("chpasswd") })
		if i == 0 || once < took {
			took = once
		}
	}
	if !s.opensHash(s.ShadowHash("user222"), password) {
		s.t.Error("the last line did not count")
	}
	return took
}

// chpasswd asserts that a broker that does not answer delays 1,000 lines by one time-out, and not by
// one each, which would be half an hour. The rest of the bound is for a host that has become busier.
func (s *stage) chpasswd(alone time.Duration) {
	s.t.Helper()
	s.MustShell(cheap)
	defer s.MustShell("cd /etc/pam.d && mv common-password.was common-password")
	if took := s.thousand("with the module", "Bulk-velvet-x"); took > 10*alone+4*time.Second {
		s.t.Errorf("chpasswd of 1,000 lines took %v, and %v without the module", took, alone)
	}
}

// TestStoppedWithTheLock: the daemon is stopped while it holds the engine lock. All other
// programs still finish within their limits.
func TestStoppedWithTheLock(t *testing.T) {
	s := armed(t)
	alone := s.chpasswdAlone()
	for i, step := range []shadowsync.Step{shadowsync.StepJournalled, shadowsync.StepPersisted, shadowsync.StepVerified, shadowsync.StepCommitted} {
		s.scene(string(step), func(s *stage) {
			password := func(n int) string { return fmt.Sprintf("Lock-%d%d-velvet-x", i, n) }
			others := s.unmanaged([]string{"admin", "user222"})
			s.arm("stop:" + step)
			s.within("passwd", 2*time.Second+slack, func() { s.says(s.passwd("admin", password(0)), queued) })
			s.isStopped()
			s.askAgain()
			s.within("the next passwd", 2*time.Second+slack, func() { s.passwd("admin", password(1)) })
			if step == shadowsync.StepPersisted {
				s.chpasswd(alone)
			}
			s.within("status", 5*time.Second, func() { s.Must("shadowsync", "status") })
			last := password(1)
			runs := func(moment string) func() {
				return func() {
					s.within(moment, hook.Limit+slack, func() { s.Must("shadowsync", "hook", moment, "--unit", machine.ApplianceUnit) })
				}
			}
			acts := []func(){
				runs("pre-start"),
				func() {
					last = password(2)
					s.within("user set password", 10*time.Second, func() {
						s.Input(last+"\n").Must("shadowsync", "user", "set", "password", "admin", "--stdin")
					})
				},
				runs("post-stop"),
				func() { s.within("restart", 25*time.Second, s.restart) },
			}
			for j := range acts { // the first act takes over the lock, the others find it free
				acts[(i+j)%len(acts)]()
				s.holdsBoth(last)
			}
			s.signalBroker("CONT")
			s.askAgain()
			s.settles("admin")
			s.holdsBoth(last)
			s.bystanders("admin") // none of them may be torn
			if s.unmanaged([]string{"admin", "user222"}) != others {
				s.t.Error("other lines of the shadow file changed")
			}
			s.disarm()
		})
	}
	s.restart()
	s.opens("admin", "Lock-32-velvet-x", "Lock-31-velvet-x")
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
