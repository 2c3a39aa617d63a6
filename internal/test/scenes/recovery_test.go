package scenes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// variants are appliances that behave like real ones. All restart after a crash.
var variants = map[string]machine.Appliance{
	"dumps at stop":            {Restart: "always"},
	"dumps every five seconds": {Restart: "always", DumpEvery: 5 * time.Second},
	"writes with chpasswd -e":  {Restart: "always", Tool: "chpasswd"},
}

// TestLossWithoutShadowsync: without shadowsync a restart of the appliance undoes root's passwd.
func TestLossWithoutShadowsync(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Bookworm)
	m.InstallAppliance(machine.Appliance{})
	s := &stage{T: m, t: t}
	s.passwd("admin", "found-Kelp-0815")
	s.opens("admin", "found-Kelp-0815", machine.OldPassword)
	s.restart()
	s.opens("admin", machine.OldPassword, "found-Kelp-0815")
}

// TestRecovery is the main job: root runs passwd once, and no restart can undo it.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := set(t, release, machine.Appliance{})
			s.persists("admin", "found-Kelp-0815", "conductor's")
			s.inStore("admin")
			s.restart()
			s.opens("admin", "found-Kelp-0815", machine.OldPassword)
			s.Reboot()
			s.opens("admin", "found-Kelp-0815", machine.OldPassword)
			a := s.state("admin")
			if a.State != "in-sync" || a.LastChange == nil || a.LastChange.SeenBy != "pam" || a.LastChange.Program != "passwd" || a.LastChange.By != "root" {
				t.Errorf("status says %+v, last change %+v", a, a.LastChange)
			}
			if r := s.Run("shadowsync", "status", "--check"); r.Code != 0 {
				t.Errorf("status --check: %s", r)
			}
			if r := s.Run("shadowsync", "audit", "--verify"); r.Code != 0 {
				t.Errorf("audit --verify: %s", r)
			}
		})
	}
}

// way is a way to change a password, and the programs that the audit may name for it. If
// several programs take part, it may name any of them.
type way struct {
	name     string
	change   func(s *stage, old, password string) string
	programs []string
	seenBy   string
	// terminal: the change is made at a login's terminal, and the audit names login and terminal.
	terminal bool
}

// names reports whether a record names the way. shadowsync sees a change past PAM only
// afterwards, and the program may have ended before the kernel can be asked about it. Then
// the record names no program, and never a wrong one; [stage.usuallyNamed] limits how often.
func (w way) names(e event) bool {
	gone := w.seenBy == "watch" && e.Origin.Program == ""
	there := e.Origin.Login == "admin" && strings.HasPrefix(e.Origin.Terminal, "pts/")
	return e.Origin.SeenBy == w.seenBy && (gone || slices.Contains(w.programs, e.Origin.Program)) && there == w.terminal
}

var ways = []way{
	{"root's passwd", func(s *stage, _, p string) string { return s.passwd("admin", p) }, []string{"passwd"}, "pam", false},
	{"chpasswd", func(s *stage, _, p string) string {
		s.Input("admin:" + p + "\n").Must("chpasswd")
		return ""
	}, []string{"chpasswd"}, "pam", false},
	{"the user's own passwd", func(s *stage, old, p string) string {
		r := s.As("admin").Input(old + "\n" + p + "\n" + p + "\n").Run("passwd")
		if r.Code != 0 {
			s.t.Fatalf("passwd: %s", r)
		}
		return r.Stdout + r.Stderr
	}, []string{"passwd"}, "pam", false},
	{"usermod -p", func(s *stage, _, p string) string { s.Must("usermod", "-p", s.hashed(p), "admin"); return "" }, []string{"usermod"}, "watch", false},
	{"chpasswd -e", func(s *stage, _, p string) string {
		s.Input("admin:"+s.hashed(p)+"\n").Must("chpasswd", "-e")
		return ""
	}, []string{"chpasswd"}, "watch", false},
	{"vipw -s", func(s *stage, _, p string) string {
		// vipw regards a file with the same second as unchanged (seen in shadow 4.13).
		script := fmt.Sprintf("#!/bin/sh\nsed -i 's|^admin:[^:]*:|admin:%s:|' \"$1\" && touch -d '+1 hour' \"$1\"\n", s.hashed(p))
		s.WriteFile("/root/edit", script, 0o755)
		s.Env("EDITOR=/root/edit").Must("vipw", "-s")
		return ""
	}, []string{"vipw", "sed", "edit", "sh", "dash", "touch"}, "watch", false},
	{"a plain rename", func(s *stage, _, p string) string {
		s.MustShell(fmt.Sprintf("umask 077; sed 's|^admin:[^:]*:|admin:%s:|' /etc/shadow > /etc/shadow.hand && chgrp shadow /etc/shadow.hand && chmod 640 /etc/shadow.hand && mv /etc/shadow.hand /etc/shadow", s.hashed(p)))
		return ""
	}, []string{"sed", "sh", "dash", "mv"}, "watch", false},
	{"a forced change at ssh login", forcedAtSSH, []string{"passwd"}, "pam", true},
}

// forcedAtSSH: root has expired the password; sshd, or the passwd that it runs, asks for a new one.
func forcedAtSSH(s *stage, old, p string) string {
	s.Must("passwd", "-e", "admin")
	d := s.SSH("admin", old)
	d.Expect("urrent", machine.Patience)
	d.Send(old + "\n")
	d.Expect("ew password", machine.Patience)
	d.Send(p + "\n")
	d.Expect("etype", machine.Patience)
	d.Send(p + "\n")
	d.Ended(machine.Patience)
	return ""
}

// ends are the ways in which a run of the application ends and the next one begins. Each
// follows a change of its own, because the application reads the present values when it
// starts, so its memory is old only until then.
var ends = []struct {
	name string
	end  func(s *stage)
}{
	{"restart", (*stage).restart},
	{"crash", (*stage).crash},
	{"reboot", func(s *stage) { s.Reboot() }},
}

// crash kills the application and waits for systemd to start it again.
func (s *stage) crash() {
	s.t.Helper()
	before := s.started()
	s.Must("systemctl", "kill", "-s", "KILL", machine.ApplianceUnit)
	s.livesSince(before)
}

// TestEveryWay changes the password in every known way, against every kind of appliance.
// After each change, the password still works after a restart, a crash and a reboot.
func TestEveryWay(t *testing.T) {
	t.Parallel()
	for name, appliance := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time it waits for refused logins
			s := set(t, machine.Bookworm, appliance)
			old := machine.OldPassword
			for i, w := range ways {
				for j, e := range ends {
					if e.name == "reboot" && i > 0 && name != "dumps at stop" {
						continue // a reboot takes seconds, and what matters in it is the dump at the stop
					}
					password := fmt.Sprintf("Zephyr-%d%d-quorum-%d", i, j, 7919*(i+1))
					s.sub(w.name+", "+e.name, func(s *stage) {
						s.changes(w, old, password)
						if appliance.DumpEvery > 0 && e.name == "restart" {
							s.dumpedOver(password)
						}
						e.end(s)
						s.holds(password)
						if e.name == "reboot" {
							s.opens("admin", password, old)
						}
						old = password
					})
				}
			}
			s.usuallyNamed()
			s.flagsSurvive()
			s.passwd("admin", "Zephyr-flags-quorum")
			if appliance.DumpEvery > 0 {
				s.sub("alarm", func(s *stage) { s.alarmed("Zephyr-alarm-quorum") })
			}
		})
	}
}

// changes makes the change, and finds it in the store and in the audit.
func (s *stage) changes(w way, old, password string) {
	s.t.Helper()
	before := len(s.audit("admin"))
	w.change(s, old, password)
	s.eventually("the store holds the new password", machine.Patience, func() bool { return s.opensHash(s.StoreHash("admin"), password) })
	s.eventually(fmt.Sprintf("it is on record as by %s, seen by %s", w.programs, w.seenBy), machine.Patience, func() bool {
		return slices.ContainsFunc(s.audit("admin")[before:], w.names)
	})
}

// holds asserts that an end undid nothing. The OS must hold the password at once, because somebody may log in.
func (s *stage) holds(password string) {
	s.t.Helper()
	if !s.opensHash(s.ShadowHash("admin"), password) {
		s.t.Errorf("the OS does not hold the last password set (%q)", password)
	}
	s.eventually("both sides hold the last password set", machine.Patience, func() bool { return s.bothOpen("admin", password) })
}

// usuallyNamed: for at least half of the changes past PAM the audit names the program that
// made them. It never names another program: see [way.names].
func (s *stage) usuallyNamed() {
	s.t.Helper()
	seen, named := 0, map[string]int{}
	for _, e := range s.audit("admin") {
		if e.Action == "adopted" && e.Origin.SeenBy == "watch" {
			seen++
			named[e.Origin.Program]++
		}
	}
	s.t.Logf("changes past PAM: %d, by program: %v", seen, named)
	if seen == 0 || 2*named[""] > seen {
		s.t.Errorf("%d of %d changes past PAM are nobody's", named[""], seen)
	}
}

// writtenBack counts the audit's records of an action, for times when the application wrote old values back.
func (s *stage) writtenBack(action string) (n int) {
	s.t.Helper()
	for _, e := range s.audit("admin") {
		if e.Action == action {
			n++
		}
	}
	return n
}

// dumpedOver waits until the running application has written its memory over the change
// once more, and the store has the change again.
func (s *stage) dumpedOver(password string) {
	s.t.Helper()
	before := s.writtenBack("adopted-again")
	s.eventually("the application's dump is noticed", machine.Patience, func() bool { return s.writtenBack("adopted-again") > before })
	s.holds(password)
}

// alarmed: the third dump over one value raises an alarm, once. shadowsync corrects every
// dump, for as long as they go on.
func (s *stage) alarmed(password string) {
	s.t.Helper()
	s.passwd("admin", password)
	dumps, alarms := s.writtenBack("adopted-again"), s.writtenBack("alarm")
	for n := 1; n <= 4; n++ {
		s.dumpedOver(password)
		want := alarms
		if n >= 3 {
			want++
		}
		if got := s.writtenBack("alarm"); got != want {
			s.t.Errorf("after dump %d there are %d alarms, want %d", n, got, want)
		}
	}
	if got := s.writtenBack("adopted-again"); got < dumps+4 {
		s.t.Errorf("%d dumps on record, want at least 4", got-dumps)
	}
	s.eventually("the journal tells of it", machine.Patience, func() bool {
		return strings.Contains(s.Journal("-b", "-p", "err", "-t", "shadowsync"), "wrote its old value back 3 times")
	})
	s.restart()
	s.opens("admin", password, "")
}

// flagsSurvive: the lock mark and must-change are part of the credentials too. This store
// does not hold the ageing fields, and the application does not change them, so they stay as
// they are; TestEmbeddedStore has an application that rewrites them.
func (s *stage) flagsSurvive() {
	for _, c := range []struct {
		command string
		field   int
		want    func(string) bool
	}{
		{"passwd -l", 2, func(v string) bool { return strings.HasPrefix(v, "!$") }},
		{"passwd -u", 2, func(v string) bool { return strings.HasPrefix(v, "$") }},
		{"usermod -L", 2, func(v string) bool { return strings.HasPrefix(v, "!$") }},
		{"usermod -U", 2, func(v string) bool { return strings.HasPrefix(v, "$") }},
		{"passwd -e", 3, func(v string) bool { return v == "0" }},
	} {
		s.sub(c.command, func(s *stage) {
			before := len(s.audit("admin"))
			s.MustShell(c.command + " admin")
			s.restart() // at once: either the watch or the hooks may see the change first
			s.eventually(c.command+" survives the restart, on both sides", machine.Patience, func() bool {
				return c.want(s.field("admin", c.field)) && s.StoreHash("admin") == s.ShadowHash("admin")
			})
			program, _, _ := strings.Cut(c.command, " ")
			found := s.audit("admin")[before:]
			if !slices.ContainsFunc(found, func(e event) bool {
				seen := e.Origin.SeenBy == "watch" && (e.Origin.Program == program || e.Origin.Program == "")
				return e.Result == "in-sync" && (seen || e.Origin.SeenBy == "start")
			}) {
				s.t.Errorf("the audit does not tell of %s: %+v", c.command, found)
			}
		})
	}
}
