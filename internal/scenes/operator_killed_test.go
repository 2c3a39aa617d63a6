package scenes

import (
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/machine"
)

// TestBrokerDiesDuringTheChange: whatever dies after the new password was given, either
// both sides have it or neither, and the operator is told which.
func TestBrokerDiesDuringTheChange(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	// The stack takes its time before it stores, so that the broker dies in the middle.
	s.MustShell("sed -i '0,/^password/s//password optional pam_exec.so quiet \\/usr\\/bin\\/sleep 1\\n&/' /etc/pam.d/common-password")
	before := s.ShadowHash("admin") + s.StoreHash("admin")
	kill := func(with string) {
		t.Helper()
		s.WaitFor("the transaction", machine.Patience, func() bool { return s.Run("pgrep", "-x", "sleep").Code == 0 })
		s.MustShell(with + "systemctl kill --signal=KILL shadowsync.service")
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
