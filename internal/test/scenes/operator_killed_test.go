package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestBrokerDiesDuringTheChange: whatever dies after the operator has given the new password,
// both sides have it or neither, and the operator is told which.
func TestBrokerDiesDuringTheChange(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.holdable("password")
	before := s.ShadowHash("admin") + s.StoreHash("admin")
	kill := func(d *machine.Dialogue, with string) {
		t.Helper()
		s.hold()
		setPassword(d, oldPassword, newPassword)
		s.transacts()
		killed := s.brokerPID()
		// Stopped first; otherwise the broker may report the worker's end before it dies itself.
		s.MustShell("systemctl kill --signal=STOP shadowsync.service; " + with + "systemctl kill --signal=KILL shadowsync.service")
		s.WaitFor("the next broker", machine.Patience, func() bool {
			return s.brokerPID() != killed && s.Run("systemctl", "is-active", "shadowsync.service").Code == 0
		})
		s.release()
	}

	// Together with its worker: the change is not made.
	d := s.SSH("admin", oldPassword)
	d.Expect("# ", machine.Patience)
	kill(d, "systemctl kill --signal=KILL 'shadowsync-helper-pam-*'; ")
	d.Expect("asking for the result", machine.Patience)
	d.Expect("% Error: nothing was changed", machine.Patience)
	if after := s.ShadowHash("admin") + s.StoreHash("admin"); after != before {
		t.Error("something was changed")
	}

	// The broker alone: the worker finishes the change.
	d.Expect("# ", machine.Patience)
	kill(d, "")
	d.Expect("asking for the result", machine.Patience)
	d.Expect("Password updated successfully", machine.Patience)
	s.same("admin")
	s.lets("admin", newPassword, oldPassword)
	s.sub("and the store fails", func(s *stage) { s.diesWithTheStore(kill) })
	s.sub("after it knew of the change", diesAfterTheAnnouncement)
}

// diesWithTheStore: the worker finishes the change, the store does not take it, and the next broker reverts it.
func (s *stage) diesWithTheStore(kill func(d *machine.Dialogue, with string)) {
	s.askAgain()
	before := s.ShadowHash("user222") + s.StoreHash("user222")
	d := s.SSH("user222", oldPassword)
	d.Expect("> ", machine.Patience)
	kill(d, "mount --bind -o ro /var/lib/128technology /var/lib/128technology; ")
	d.Expect("asking for the result", machine.Patience)
	d.Expect("did not take it; nothing was changed", machine.Patience)
	if after := s.ShadowHash("user222") + s.StoreHash("user222"); after != before {
		s.t.Error("something was changed")
	}
	s.Must("umount", "--lazy", "/var/lib/128technology")
	d.Send("show user\n")
	d.Expect("Information for user222", machine.Patience)
	d.Send("exit\n")
	d.Ended(machine.Patience)
}

// diesAfterTheAnnouncement: the broker dies after both sides are changed and before the operator
// is told. The next broker tells the operator, and ends the sessions that the old password opened,
// the operator's own shell last.
func diesAfterTheAnnouncement(s *stage) {
	s.askAgain()
	s.MustShell("cd /etc/pam.d && sed -i '/hold/d' common-password && echo 'password" + holding + "' >> common-password")
	before := s.StoreHash("user222")
	d, other := s.SSH("user222", oldPassword), s.SSH("user222", oldPassword)
	d.Expect("> ", machine.Patience)
	other.Expect("> ", machine.Patience)
	s.hold()
	setPassword(d, oldPassword, newPassword)
	s.WaitFor("the store's part", machine.Patience, func() bool { return s.StoreHash("user222") != before })
	s.transacts() // behind the module: the watch may have seen the change before it was announced
	s.Must("systemctl", "kill", "--signal=KILL", "shadowsync.service")
	s.release()
	d.Expect("asking for the result", machine.Patience)
	d.Expect("Password updated successfully", machine.Patience)
	d.Ended(machine.Patience)
	other.Ended(machine.Patience)
	s.same("user222")
	s.lets("user222", newPassword, oldPassword)
}

// holds is a program that waits until the release, but not for ever, because a PAM worker has
// eight seconds.
const holds = `#!/bin/sh
mv /run/hold /run/held && timeout 6 sh -c 'while test -e /run/held; do sleep 0.05; done'
`

// holding is the line that runs it in a PAM stack. seteuid makes it run as root; otherwise sh(1) would take the
// worker's real uid.
const holding = " optional pam_exec.so quiet seteuid /usr/local/sbin/hold"

// holdable makes the PAM stack wait, when a test asks for it, before pam_unix stores or checks
// anything, so that something can happen in the middle of a transaction. The modules before it have
// asked for the new password by then.
func (s *stage) holdable(kind string) {
	s.t.Helper()
	s.WriteFile("/usr/local/sbin/hold", holds, 0o755)
	s.MustShell("sed -i '0,/^" + kind + ".*pam_unix/s||" + kind + holding + "\\n&|' /etc/pam.d/common-" + kind)
}

// hold makes the next transaction wait.
func (s *stage) hold() { s.t.Helper(); s.Must("touch", "/run/hold") }

// transacts waits until a transaction has reached the hold.
func (s *stage) transacts() {
	s.t.Helper()
	s.WaitFor("the transaction", machine.Patience, func() bool { return s.Run("test", "-e", "/run/held").Code == 0 })
}

// release lets the transaction go on, and cancels a hold that none has reached.
func (s *stage) release() { s.t.Helper(); s.Must("rm", "-f", "/run/hold", "/run/held") }

// TestStoreFailsDuringTheChange: the store could take the change when it was asked, and fails
// when it must. Both sides keep the old password, and the sessions stay open.
func TestStoreFailsDuringTheChange(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.holdable("password")
	before := s.ShadowHash("user222") + s.StoreHash("user222")
	d := s.SSH("user222", oldPassword)
	d.Expect("> ", machine.Patience)
	s.hold()
	setPassword(d, oldPassword, newPassword)
	s.transacts()
	s.Must("mount", "--bind", "-o", "ro", "/var/lib/128technology", "/var/lib/128technology")
	s.release()
	d.Expect("did not take it; nothing was changed", machine.Patience)
	if guard := s.status().Guard; guard != "off" {
		t.Errorf("an operator's change guards the unit: %s", guard)
	}
	if after := s.ShadowHash("user222") + s.StoreHash("user222"); after != before {
		t.Error("something was changed")
	}
	d.Send("show user\n")
	d.Expect("Information for user222", machine.Patience)
	s.Must("umount", "--lazy", "/var/lib/128technology")
	s.eventually("the audit tells that it was taken back", machine.Patience, func() bool {
		return strings.Contains(s.Must("shadowsync", "audit", "--user", "user222"), "withdrawn")
	})
	s.lets("user222", oldPassword, newPassword)
	s.sub("a password given by an administrator", func(s *stage) { s.givesInVain(d) })
}

// givesInVain: the same for a password that an administrator sets for a user. The user goes on
// working, and the audit names the administrator, not root.
func (s *stage) givesInVain(d *machine.Dialogue) {
	before, known := s.ShadowHash("user222")+s.StoreHash("user222"), len(s.audit("user222"))
	boss := s.SSH("admin", oldPassword)
	boss.Answer("# ", "edit user user222")
	boss.Answer("# ", "password")
	boss.Answer("Password: ", newPassword)
	s.hold()
	boss.Answer("Confirm: ", newPassword)
	s.transacts()
	s.Must("mount", "--bind", "-o", "ro", "/var/lib/128technology", "/var/lib/128technology")
	s.release()
	boss.Expect("did not take it; nothing was changed", machine.Patience)
	if after := s.ShadowHash("user222") + s.StoreHash("user222"); after != before {
		s.t.Error("something was changed")
	}
	s.Must("umount", "--lazy", "/var/lib/128technology")
	s.eventually("in sync", machine.Patience, func() bool { return s.state("user222").State == "in-sync" })
	time.Sleep(time.Second) // ending sessions would take half of that
	d.Send("show user\n")
	d.Expect("Information for user222", machine.Patience)
	events := s.audit("user222")[known:]
	for _, e := range events {
		if e.Origin.By != "admin" || e.Action == "logged-out" {
			s.t.Errorf("on record: %+v", e)
		}
	}
	if len(events) == 0 || s.status().Guard != "off" {
		s.t.Errorf("%d records; guard %s", len(events), s.status().Guard)
	}
}
