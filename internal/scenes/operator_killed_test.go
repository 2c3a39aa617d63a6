package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/machine"
)

// TestBrokerDiesDuringTheChange: whatever dies after the new password was given, either
// both sides have it or neither, and the operator is told which.
func TestBrokerDiesDuringTheChange(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.slowStack()
	before := s.ShadowHash("admin") + s.StoreHash("admin")
	kill := func(with string) {
		t.Helper()
		s.transacts()
		// Stopped first, or it may tell of the worker's end before its own.
		s.MustShell("systemctl kill --signal=STOP shadowsync.service; " + with + "systemctl kill --signal=KILL shadowsync.service")
	}

	// With its worker, so that nothing comes of it.
	d := s.SSH("admin", oldPassword)
	d.Expect("# ", machine.Patience)
	setPassword(d, oldPassword, newPassword)
	kill("systemctl kill --signal=KILL 'shadowsync-helper-pam-*'; ")
	d.Expect("asking what came of it", machine.Patience)
	d.Expect("% Error: nothing was changed", 20*time.Second)
	if after := s.ShadowHash("admin") + s.StoreHash("admin"); after != before {
		t.Error("something was changed")
	}

	// Alone: the worker finishes what it began.
	d.Expect("# ", machine.Patience)
	setPassword(d, oldPassword, newPassword)
	kill("")
	d.Expect("asking what came of it", machine.Patience)
	d.Expect("Password updated successfully", 20*time.Second)
	s.same("admin")
	s.lets("admin", newPassword, oldPassword)
}

// slowStack has the PAM stack take its time before it stores, so that something can
// happen in the middle.
func (s *stage) slowStack() {
	s.t.Helper()
	s.MustShell("sed -i '0,/^password/s//password optional pam_exec.so quiet \\/usr\\/bin\\/sleep 1\\n&/' /etc/pam.d/common-password")
}

// transacts waits until a transaction is at that point.
func (s *stage) transacts() {
	s.t.Helper()
	s.WaitFor("the transaction", machine.Patience, func() bool { return s.Run("pgrep", "-x", "sleep").Code == 0 })
}

// TestStoreFailsDuringTheChange: a store that could take it when it was asked, and cannot
// when it must, leaves the old password on both sides, and the sessions open.
func TestStoreFailsDuringTheChange(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.slowStack()
	before := s.ShadowHash("user222") + s.StoreHash("user222")
	d := s.SSH("user222", oldPassword)
	d.Expect("> ", machine.Patience)
	setPassword(d, oldPassword, newPassword)
	s.transacts()
	s.Must("mount", "--bind", "-o", "ro", "/var/lib/128technology", "/var/lib/128technology")
	d.Expect("did not take it; nothing was changed", 20*time.Second)
	if after := s.ShadowHash("user222") + s.StoreHash("user222"); after != before {
		t.Error("something was changed")
	}
	d.Send("show user\n")
	d.Expect("Information for user222", machine.Patience)
	s.Must("umount", "/var/lib/128technology")
	if audit := s.Must("shadowsync", "audit", "--user", "user222"); !strings.Contains(audit, "withdrawn") {
		t.Errorf("the audit does not tell that it was taken back:\n%s", audit)
	}
	s.lets("user222", oldPassword, newPassword)
}
