package scenes

import (
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestProgramGone: if our program or the PAM module is missing, nothing else fails.
func TestProgramGone(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{}, "[application.store]", "start = \"refuse\"\n\n[application.store]")
	s.MustShell("mv /usr/sbin/shadowsync /root/ && systemctl kill -s KILL shadowsync.service")
	s.scene("the application", func(s *stage) {
		for _, verb := range []string{"restart", "stop", "start", "try-restart"} {
			s.Must("systemctl", verb, machine.ApplianceUnit)
		}
		s.Must("systemctl", "is-active", machine.ApplianceUnit)
		s.Reboot()
		s.Must("systemctl", "is-active", machine.ApplianceUnit)
	})
	s.scene("passwd", func(s *stage) {
		s.within("passwd", 2*time.Second+slack, func() { s.passwd("admin", "Bare-1-velvet-x") })
		s.opens("admin", "Bare-1-velvet-x", machine.OldPassword)
	})
	s.scene("the program is back", func(s *stage) {
		s.Must("mv", "/root/shadowsync", "/usr/sbin/")
		s.settles("admin") // systemd has tried again and again to start the daemon
		s.restart()
		s.opens("admin", "Bare-1-velvet-x", "")
	})
	s.scene("the module gone", func(s *stage) {
		module := s.MustShell("find /usr/lib /lib -name pam_shadowsync.so | head -1 | tr -d '\\n'")
		s.Must("mv", module, "/root/")
		s.passwd("admin", "Bare-2-velvet-x")
		s.settles("admin") // the watch saw the change
		s.restart()
		s.opens("admin", "Bare-2-velvet-x", "Bare-1-velvet-x")
	})
}

// TestBusGone: changes are seen and persisted without D-Bus, and while systemd re-executes
// itself; guards work again afterwards.
func TestBusGone(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.onOwnDisk()
	s.scene("D-Bus gone", func(s *stage) {
		s.MustShell("systemctl stop dbus.socket dbus.service")
		s.persists("admin", "Bus-1-velvet-x", "conductor's")
		s.Must("usermod", "-p", s.hashed("Bus-2-velvet-x"), "user222")
		s.settles("user222")
		s.readOnly()
		s.notPersisted("admin", "Bus-3-velvet-x", "read-only file system")
		s.isHeld("admin")
		s.writable()
		s.settles("admin")
		s.restart()
		s.MustShell("systemctl start dbus.socket dbus.service")
	})
	s.scene("systemd executed anew", func(s *stage) {
		s.Must("systemctl", "daemon-reexec")
		s.persists("admin", "Bus-4-velvet-x", "conductor's")
		s.readOnly()
		s.notPersisted("admin", "Bus-5-velvet-x", "read-only file system")
		s.Must("systemctl", "daemon-reexec")
		s.isHeld("admin")
		s.says(s.inhibitors(), "shadowsync")
		s.writable()
		s.settles("admin")
		s.isFree()
		s.opens("admin", "Bus-5-velvet-x", "Bus-4-velvet-x")
	})
}
