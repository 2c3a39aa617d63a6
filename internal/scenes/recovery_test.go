package scenes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/machine"
)

// variants are the appliances that real ones are like.
var variants = map[string]machine.Appliance{
	"dumps at stop":            {},
	"dumps every five seconds": {DumpEvery: 5 * time.Second},
	"writes with chpasswd -e":  {Tool: "chpasswd", Restart: "always"},
}

// TestLossWithoutShadowsync is the seed's scene as it is today.
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

// TestRecovery is the main job: one passwd, and no restart can undo it.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := set(t, release, machine.Appliance{})
			said := s.passwd("admin", "found-Kelp-0815")
			if want := "shadowsync: admin: persisted in conductor's credential store"; !strings.Contains(said, want) {
				t.Errorf("passwd said %q, want %q", said, want)
			}
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

// way is a way to change a password; it returns the program that the audit must name.
type way struct {
	name    string
	change  func(s *stage, old, password string) string
	program string
	seenBy  string
}

// names tells whether a record names the way. chpasswd -e may be gone before the
// kernel can be asked about it; then nobody is named, and never somebody else.
func (w way) names(e event) bool {
	gone := w.seenBy == "watch" && e.Origin.Program == ""
	return e.Origin.SeenBy == w.seenBy && (w.program == "" || gone || e.Origin.Program == w.program)
}

var ways = []way{
	{"root's passwd", func(s *stage, _, p string) string { return s.passwd("admin", p) }, "passwd", "pam"},
	{"chpasswd", func(s *stage, _, p string) string {
		s.Input("admin:" + p + "\n").Must("chpasswd")
		return ""
	}, "chpasswd", "pam"},
	{"the user's own passwd", func(s *stage, old, p string) string {
		r := s.As("admin").Input(old + "\n" + p + "\n" + p + "\n").Run("passwd")
		if r.Code != 0 {
			s.t.Fatalf("passwd: %s", r)
		}
		return r.Stdout + r.Stderr
	}, "passwd", "pam"},
	{"usermod -p", func(s *stage, _, p string) string { s.Must("usermod", "-p", s.hashed(p), "admin"); return "" }, "usermod", "watch"},
	{"chpasswd -e", func(s *stage, _, p string) string {
		s.Input("admin:"+s.hashed(p)+"\n").Must("chpasswd", "-e")
		return ""
	}, "chpasswd", "watch"},
	{"vipw -s", func(s *stage, _, p string) string {
		// vipw takes a file of the same second for unchanged (seen in shadow 4.13).
		script := fmt.Sprintf("#!/bin/sh\nsed -i 's|^admin:[^:]*:|admin:%s:|' \"$1\" && touch -d '+1 hour' \"$1\"\n", s.hashed(p))
		s.WriteFile("/root/edit", script, 0o755)
		s.Env("EDITOR=/root/edit").Must("vipw", "-s")
		return ""
	}, "", "watch"},
	{"a plain rename", func(s *stage, _, p string) string {
		s.MustShell(fmt.Sprintf("umask 077; sed 's|^admin:[^:]*:|admin:%s:|' /etc/shadow > /etc/shadow.hand && chgrp shadow /etc/shadow.hand && chmod 640 /etc/shadow.hand && mv /etc/shadow.hand /etc/shadow", s.hashed(p)))
		return ""
	}, "", "watch"},
	{"a forced change at ssh login", forcedAtSSH, "", "pam"},
}

// forcedAtSSH: root expired the password, sshd or its passwd asks for a new one.
func forcedAtSSH(s *stage, old, p string) string {
	s.Must("passwd", "-e", "admin")
	d := s.SSH("admin", old)
	d.Expect("urrent", 20*time.Second)
	d.Send(old + "\n")
	d.Expect("ew password", 20*time.Second)
	d.Send(p + "\n")
	d.Expect("etype", 20*time.Second)
	d.Send(p + "\n")
	d.Ended(20 * time.Second)
	return ""
}

// TestEveryWay changes the password in every way there is, against every kind of
// appliance; after each, restart and crash, the last password set works.
func TestEveryWay(t *testing.T) {
	t.Parallel()
	for name, appliance := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it is waiting for refused logins
			s := set(t, machine.Bookworm, appliance)
			old := machine.OldPassword
			for i, w := range ways {
				password := fmt.Sprintf("Zephyr-%d-quorum-%d", i, 7919*(i+1))
				s.t.Run(w.name, func(t *testing.T) {
					(&stage{T: s.T, t: t}).survives(w, old, password)
				})
				old = password
			}
		})
	}
}

func (s *stage) survives(w way, old, password string) {
	s.t.Helper()
	before := len(s.audit("admin"))
	w.change(s, old, password)
	s.eventually("the store holds the OS's value", 5*time.Second, func() bool { return s.StoreHash("admin") == s.ShadowHash("admin") })
	s.restart()
	s.inStore("admin")
	s.opens("admin", password, old)
	for _, e := range s.audit("admin")[before:] {
		if w.names(e) {
			return
		}
	}
	s.t.Errorf("no record by %s seen by %s: %+v", w.program, w.seenBy, s.audit("admin")[before:])
}

// TestFlagsSurvive: lock mark, must-change and ageing are credentials too.
func TestFlagsSurvive(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	for _, c := range []struct {
		name, command string
		field         int
		want          func(string) bool
	}{
		{"passwd -l", "passwd -l admin", 2, func(v string) bool { return strings.HasPrefix(v, "!$") }},
		{"passwd -u", "passwd -u admin", 2, func(v string) bool { return strings.HasPrefix(v, "$") }},
		{"passwd -e", "passwd -e admin", 3, func(v string) bool { return v == "0" }},
		{"chage -M", "chage -M 90 -W 10 admin", 5, func(v string) bool { return v == "90" }},
		{"chage -E", "chage -E 2031-01-01 admin", 8, func(v string) bool { return v == "22280" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stage{T: s.T, t: t}
			s.MustShell(c.command)
			s.restart() // at once: the watch and the hooks may deal with it
			s.eventually(c.command+" survives the restart", 5*time.Second, func() bool { return c.want(s.field("admin", c.field)) })
		})
	}
}

// TestChangesWhileDown: nothing of ours ran when the password changed.
func TestChangesWhileDown(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{Restart: "always"})
	t.Run("the daemon down", func(t *testing.T) {
		s := &stage{T: s.T, t: t}
		s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket")
		said := s.passwd("admin", "Down-1-velvet-x")
		if !strings.Contains(said, "queued (shadowsync did not answer in time); it is persisted before the next start of 128T.service") {
			t.Errorf("passwd said %q", said)
		}
		s.restart()
		s.opens("admin", "Down-1-velvet-x", machine.OldPassword)
		s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
	})
	t.Run("the application down", func(t *testing.T) {
		s := &stage{T: s.T, t: t}
		s.Must("systemctl", "stop", machine.ApplianceUnit)
		s.passwd("admin", "Down-2-velvet-x")
		s.Must("systemctl", "start", machine.ApplianceUnit)
		s.opens("admin", "Down-2-velvet-x", "Down-1-velvet-x")
	})
	t.Run("a crash and its restart", func(t *testing.T) {
		s := &stage{T: s.T, t: t}
		s.passwd("admin", "Down-3-velvet-x")
		s.Must("systemctl", "kill", "-s", "KILL", machine.ApplianceUnit)
		s.eventually("the unit is up again", 10*time.Second, func() bool { return s.Run("systemctl", "is-active", machine.ApplianceUnit).Code == 0 })
		s.opens("admin", "Down-3-velvet-x", "Down-2-velvet-x")
	})
	t.Run("power lost after passwd", func(t *testing.T) {
		s := &stage{T: s.T, t: t}
		s.passwd("admin", "Down-4-velvet-x")
		s.Kill()
		s.PowerOn()
		s.opens("admin", "Down-4-velvet-x", "Down-3-velvet-x")
	})
	t.Run("the machine down, edited from outside", func(t *testing.T) {
		s := &stage{T: s.T, t: t}
		hash := s.hashed("Down-5-velvet-x")
		s.PowerOff()
		shadow := s.ReadFile("/etc/shadow")
		var lines []string
		for line := range strings.Lines(shadow) {
			if f := strings.Split(line, ":"); f[0] == "admin" {
				f[1] = hash
				line = strings.Join(f, ":")
			}
			lines = append(lines, line)
		}
		s.WriteFile("/etc/shadow", strings.Join(lines, ""), 0o640)
		s.PowerOn()
		s.opens("admin", "Down-5-velvet-x", "Down-4-velvet-x")
	})
}
