package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestRebootWhilePending: root recovers a password while the store cannot take it, and the
// machine reboots before the store can.
func TestRebootWhilePending(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy  string
		release machine.Release
		after   func(s *stage)
	}{
		{"start", machine.Bookworm, (*stage).startedAnyway},
		{"refuse", machine.Trixie, (*stage).startRefused},
	} {
		t.Run(c.policy, func(t *testing.T) {
			s := set(t, c.release, machine.Appliance{}, "[application.store]", "start = \""+c.policy+"\"\n\n[application.store]")
			// Read-only from now on, and at the next boot too.
			s.MustShell("echo '" + storeFolder + " " + storeFolder + " none bind,ro 0 0' >> /etc/fstab && mount " + storeFolder + " && systemctl restart shadowsync.service")
			s.notPersisted("admin", "Reboot-1-velvet-x", "read-only file system")
			wanted, lost := s.ShadowHash("admin"), s.StoreHash("admin")
			s.delayedReboot()
			s.eventually("the OS holds root's password", machine.Patience, func() bool { return s.ShadowHash("admin") == wanted })
			if now := s.StoreHash("admin"); now != lost {
				t.Errorf("the store that takes nothing holds %.20q", now)
			}
			c.after(s)
			s.opens("admin", "Reboot-1-velvet-x", machine.OldPassword)
			if wanted != s.StoreHash("admin") {
				t.Error("the store does not hold root's password")
			}
		})
	}
}

// delayedReboot reboots, and asserts that logind waited for our inhibitor until logind's own time-out.
func (s *stage) delayedReboot() {
	s.t.Helper()
	s.Reboot()
	s.says(s.Journal("-b", "-1", "-u", "systemd-logind"), "/shadowsync) but inhibitor timeout is reached")
}

func (s *stage) storeIsBack() {
	s.t.Helper()
	s.Must("mount", "-o", "remount,bind,rw", storeFolder)
	s.settles("admin")
}

// startedAnyway: the appliance runs, and wrote the lost password at its start.
func (s *stage) startedAnyway() {
	s.t.Helper()
	s.Must("systemctl", "is-active", machine.ApplianceUnit)
	s.opens("admin", "Reboot-1-velvet-x", machine.OldPassword)
	s.isHeld("admin")
	s.storeIsBack()
	s.isFree()
}

// startRefused: the appliance does not run, and systemctl status of the start hook says what to do.
func (s *stage) startRefused() {
	s.t.Helper()
	if r := s.Run("systemctl", "is-active", machine.ApplianceUnit); r.Code == 0 {
		s.t.Error("the appliance runs")
	}
	if r := s.Run("systemctl", "start", machine.ApplianceUnit); r.Code == 0 {
		s.t.Error("the appliance can be started")
	}
	shown := s.Run("systemctl", "status", "--no-pager", "--full", "shadowsync-start@128T.service").Stdout
	for _, text := range []string{"cannot let 128T.service start", "the change of admin is not in its credential store", "hint: shadowsync sync admin"} {
		s.says(shown, text)
	}
	s.storeIsBack()
	s.Must("shadowsync", "sync", "admin")
	s.Must("systemctl", "start", machine.ApplianceUnit)
	s.isFree()
}

// TestStoreMissingAtBoot: the store's folder is missing when the machine boots, and appears
// later.
func TestStoreMissingAtBoot(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	away := "/root" + storeFolder[strings.LastIndex(storeFolder, "/"):]
	s.Must("mv", storeFolder, away)
	s.Reboot()
	s.notPersisted("admin", "Absent-1-velvet-x", "no such file or directory")
	for _, verb := range []string{"restart", "stop"} { // the appliance has failed, and its unit is still held
		if r := s.Run("systemctl", verb, machine.ApplianceUnit); r.Code != 4 || !strings.Contains(r.Stderr, "refused") {
			t.Errorf("systemctl %s is not refused: %s", verb, r)
		}
	}
	s.says(s.Run("systemctl", "status", machine.ApplianceUnit).Stdout, heldFor("admin"))
	wanted := s.ShadowHash("admin")
	s.delayedReboot()
	if s.ShadowHash("admin") != wanted {
		t.Error("the reboot undid root's password")
	}
	s.Must("mv", away, storeFolder)
	s.settles("admin")
	if s.StoreHash("admin") != wanted {
		t.Error("the store does not hold root's password")
	}
	s.Must("systemctl", "start", machine.ApplianceUnit)
	s.isFree()
	s.opens("admin", "Absent-1-velvet-x", machine.OldPassword)
}
