package scenes

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestGuard: the store is read-only while root recovers a password.
func TestGuard(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.onOwnDisk()
	s.readOnly()
	s.scene("passwd", func(s *stage) {
		s.notPersisted("admin", "Guard-1-velvet-x", "read-only file system")
		a := s.state("admin")
		if a.State != "pending" || a.PendingSince == nil || a.Reason == nil || *a.Reason != "store: read-only file system" || s.status().Guard != "on" {
			s.t.Errorf("status says %+v, guard %s", a, s.status().Guard)
		}
		s.says(s.Must("shadowsync", "status"), "shadowsync guard release "+machine.ApplianceUnit+" --force")
		s.opens("admin", "Guard-1-velvet-x", "")
	})
	s.scene("the unit is held", func(s *stage) {
		s.isHeld("admin")
		if r := s.Run("systemctl", "disable", "--now", machine.ApplianceUnit); r.Code == 0 {
			s.t.Errorf("disable --now is not refused: %s", r)
		}
		s.Must("systemctl", "enable", machine.ApplianceUnit)
		if all := s.inhibitors(); !strings.Contains(all, "shadowsync") || !strings.Contains(all, "delay") {
			s.t.Errorf("nothing delays a shutdown:\n%s", all)
		}
	})
	s.scene("a user's own passwd", func(s *stage) { s.ownPasswdWhileHeld() })
	s.scene("release", func(s *stage) { s.releaseOfPending() })
	s.scene("a restart puts nothing back", func(s *stage) {
		wanted := s.ShadowHash("admin")
		s.restart() // the appliance rewrites the OS from a store that still has the lost password
		s.eventually("the OS holds root's password again", machine.Patience, func() bool { return s.ShadowHash("admin") == wanted })
		s.opens("admin", "Guard-1-velvet-x", machine.OldPassword)
		if a := s.state("admin"); a.State != "pending" {
			s.t.Errorf("status says %+v", a)
		}
	})
	s.scene("the store is back", func(s *stage) {
		s.says(s.answered("admin", "Guard-2-velvet-x"), "shadowsync: admin: NOT persisted")
		s.writable()
		s.settles("admin")
		s.settles("user222")
		s.isFree()
		s.opens("admin", "Guard-2-velvet-x", "Guard-1-velvet-x")
		s.opens("user222", "Guard-own-velvet-x", "")
	})
	s.scene("by hand", func(s *stage) {
		s.Must("shadowsync", "guard", "hold")
		s.isHeld("by hand")
		if guard := s.status().Guard; guard != "held" {
			s.t.Errorf("status says the guard is %s", guard)
		}
		s.liftedOnRecordAlone()
		s.Must("shadowsync", "guard", "release", machine.ApplianceUnit)
		s.isFree()
	})
	if r := s.Run("shadowsync", "audit", "--verify"); r.Code != 0 {
		t.Errorf("audit --verify: %s", r)
	}
	s.scene("remove while held by hand", func(s *stage) {
		s.Must("shadowsync", "guard", "hold")
		s.isHeld("by hand")
		s.Must("shadowsync", "remove")
		s.isFree()
		if left := s.MustShell("ls -A /run/systemd/system/128T.service.d 2>/dev/null; systemctl list-units --all --plain --no-legend 'shadowsync-guard*'"); left != "" {
			s.t.Errorf("left behind: %s", left)
		}
	})
}

// liftedOnRecordAlone: after the guard's file is removed and before systemd reloads, the unit is
// still held, and status says so. A process that dies there leaves the unit in that state.
func (s *stage) liftedOnRecordAlone() {
	s.t.Helper()
	s.MustShell("cd /run/systemd/system/128T.service.d && mv 90-shadowsync-guard.conf 90-shadowsync-guard.off")
	if r := s.Run("systemctl", "stop", machine.ApplianceUnit); r.Code != 4 {
		s.t.Fatalf("the unit is free before the reload, and this proves nothing: %s", r)
	}
	if guard := s.status().Guard; guard != "held" {
		s.t.Errorf("the unit is held, and status says the guard is %s", guard)
	}
	if said := s.Must("pcli", "-c", "show sync"); !strings.Contains(said, "held") {
		s.t.Errorf("the unit is held, and pcli says:\n%s", said)
	}
}

// ownPasswdWhileHeld: a change that is not root's is pending too, but holds nothing back.
func (s *stage) ownPasswdWhileHeld() {
	s.t.Helper()
	r := s.As("user222").Input(machine.OldPassword + "\nGuard-own-velvet-x\nGuard-own-velvet-x\n").Run("passwd")
	if r.Code != 0 {
		s.t.Fatalf("passwd: %s", r)
	}
	s.says(r.Stdout+r.Stderr, "shadowsync: user222: NOT persisted (store: read-only file system); it is as soon as the store takes it")
	if a := s.state("user222"); a.State != "pending" || a.LastChange == nil || a.LastChange.By != "user222" {
		s.t.Errorf("status says %+v, last change %+v", a, a.LastChange)
	}
	s.says(s.Run("systemctl", "status", machine.ApplianceUnit).Stdout, heldFor("admin"))
}

// releaseOfPending: root can lift the guard over a pending change, but only with --force.
func (s *stage) releaseOfPending() {
	s.t.Helper()
	r := s.Run("shadowsync", "guard", "release", machine.ApplianceUnit)
	if r.Code == 0 || !strings.Contains(r.Stderr, "hint: shadowsync sync (or, if a restart may undo the changes: shadowsync guard release 128T.service --force)") {
		s.t.Errorf("release of a pending guard: %s", r)
	}
	s.isHeld("admin")
	if all := s.trail(); !slices.ContainsFunc(all, func(e event) bool { return e.Action == "refused" && e.Origin.Verb == "guard release" }) {
		s.t.Errorf("the refusal is not on record; the last are %+v", all[max(0, len(all)-3):])
	}
	s.Must("shadowsync", "guard", "release", machine.ApplianceUnit, "--force")
	if guard := s.status().Guard; guard != "off" {
		s.t.Errorf("status says the guard is %s", guard)
	}
	s.says(s.Must("shadowsync", "audit"), "guard-released  guard release by root (shadowsync, seen by tool) - 128T.service, pending: admin, forced")
}

// TestGuardLimit: a guard ends at its limit although none of our programs runs, and no guard
// begins if the limit is zero.
func TestGuardLimit(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{}, "[node]", "[guard]\nlimit = \"8s\"\n\n[node]")
	s.onOwnDisk()
	s.readOnly()
	begun := time.Now()
	s.passwd("admin", "Limit-1-velvet-x")
	s.MustShell("systemctl mask --runtime --quiet shadowsync.service && systemctl kill -s KILL shadowsync.service")
	s.isHeld("admin")
	s.eventually("the guard is off", machine.Patience, func() bool {
		return !s.Guarded()
	})
	if took := time.Since(begun); took < 8*time.Second {
		t.Errorf("a guard of 8 s lasted %v", took)
	}
	if r := s.Run("systemctl", "is-active", "shadowsync.service"); r.Code == 0 {
		t.Fatal("the daemon lives")
	}
	s.isFree()
	s.MustShell("systemctl unmask --runtime --quiet shadowsync.service")
	s.scene("the limit is over", func(s *stage) { s.anotherTerm() })
	s.scene("the end is told when it comes", func(s *stage) { s.toldInTime() })
	s.MustShell("sed -i 's/^limit = .*/limit = \"0s\"/' /etc/shadowsync/shadowsync.toml && systemctl restart shadowsync.service")
	s.says(s.passwd("admin", "Limit-2-velvet-x"), "NOT persisted (store: read-only file system); it is as soon as the store takes it")
	if guard := s.status().Guard; guard != "off" {
		t.Errorf("a guard that is switched off is %s", guard)
	}
	wanted := s.ShadowHash("admin")
	s.restart()
	s.eventually("the OS holds root's password again", machine.Patience, func() bool { return s.ShadowHash("admin") == wanted })
	s.writable()
	s.settles("admin")
	s.scene("a hold by hand across a reboot", func(s *stage) {
		s.Must("shadowsync", "guard", "hold")
		s.Reboot()
		s.isHeld("by hand")
		s.Must("shadowsync", "guard", "release")
		s.isFree()
		s.Reboot()
		s.isFree()
	})
}

// toldInTime: the end of the limit is reported in time, although by then the pauses between attempts at the store
// are longer than that.
func (s *stage) toldInTime() {
	s.t.Helper()
	s.reconfigured(`s/^limit = .*/limit = "17s"/`)
	lifted := func() (n int) {
		for _, e := range s.trail() {
			if e.Action == "guard-lifted" {
				n++
			}
		}
		return n
	}
	before := lifted()
	s.passwd("admin", "Limit-told-velvet-x")
	s.isHeld("admin")
	s.eventually("the guard is off", machine.Patience, func() bool { return !s.Guarded() })
	s.eventually("its end is on record", 10*time.Second, func() bool { return lifted() > before })
}

// anotherTerm: people are told that the limit is over, and another change has a limit of its own.
func (s *stage) anotherTerm() {
	s.t.Helper()
	s.reconfigured(`s/^limit = .*/limit = "10m"/`)
	s.eventually("the end of the limit is on record", machine.Patience, func() bool {
		return slices.ContainsFunc(s.trail(), func(e event) bool { return e.Action == "guard-lifted" && e.Account == "admin" })
	})
	if a := s.status(); a.Guard != "off" || !slices.Equal(a.Lapsed, []string{"admin"}) {
		s.t.Errorf("status says %+v", a)
	}
	s.says(s.Must("shadowsync", "status"), "guard off, lifted at its time limit with changes still pending: admin")
	s.says(s.answered("admin", "Limit-again-velvet-x"), "is held until it is (at most until ")
	s.isHeld("admin")
	if a := s.status(); a.Guard != "on" || len(a.Lapsed) > 0 {
		s.t.Errorf("status says %+v", a)
	}
	s.Must("shadowsync", "guard", "release", "--force")
}
