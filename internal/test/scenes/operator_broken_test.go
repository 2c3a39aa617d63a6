package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestDialogueBreaksOff: if a dialogue ends before the new password is given, for whatever
// reason, nothing is changed, and a new dialogue can begin.
func TestDialogueBreaksOff(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	before := s.ShadowHash("admin") + s.StoreHash("admin")
	toNew := func() *machine.Dialogue {
		d := s.SSH("admin", oldPassword)
		d.Answer("# ", "set password")
		d.Answer("Enter your current password:", oldPassword)
		d.Expect("Enter a new password:", machine.Patience)
		return d
	}
	for name, breakOff := range map[string]func(*machine.Dialogue){
		"Ctrl-C":              func(d *machine.Dialogue) { d.Send("\x03"); d.Expect("Operation canceled", machine.Patience) },
		"hang-up":             func(d *machine.Dialogue) { _ = d.Close() },
		"the shell is killed": func(*machine.Dialogue) { s.Must("pkill", "-KILL", "-U", "admin", "pcli") },
		"the broker is killed": func(d *machine.Dialogue) {
			s.killBroker()
			d.Send(newPassword + "\n")
			d.Answer("Confirm:", newPassword)
			d.Expect("% Error: shadowsync closed the connection; nothing was changed", machine.Patience)
		},
		"the broker is restarted": func(d *machine.Dialogue) {
			s.Must("systemctl", "restart", "shadowsync.service")
			d.Send(newPassword + "\n")
			d.Answer("Confirm:", newPassword)
			d.Expect("% Error: shadowsync is restarting; nothing was changed", machine.Patience)
		},
	} {
		breakOff(toNew())
		if after := s.ShadowHash("admin") + s.StoreHash("admin"); after != before {
			t.Fatalf("%s: something was changed", name)
		}
		s.WaitFor("the broker", machine.Patience, func() bool { return s.Run("systemctl", "is-active", "shadowsync.service").Code == 0 })
	}
	d := toNew()
	d.Send(newPassword + "\n")
	d.Answer("Confirm:", newPassword)
	d.Expect("Password updated successfully", machine.Patience)
	d.Ended(machine.Patience)
	s.same("admin")
	s.lets("admin", newPassword, oldPassword)
	s.sub("a prompt shields nothing", promptShieldsNothing)
}

// killBroker kills the broker, and returns when the process is gone and has closed its files,
// which is some time after the signal.
func (s *stage) killBroker() {
	s.t.Helper()
	s.MustShell("pid=$(systemctl show --property=MainPID --value shadowsync.service); kill -KILL $pid; while kill -0 $pid; do sleep 0.01; done 2>/dev/null")
}

// promptShieldsNothing: a session waits at the question for the current password. It does not
// prevent another one from changing the password, and then ends with all others.
func promptShieldsNothing(s *stage) {
	intruder := s.SSH("admin", newPassword)
	intruder.Answer("# ", "set password")
	intruder.Expect("Enter your current password:", machine.Patience)
	other := s.SSH("user222", oldPassword)
	other.Answer("> ", "set password")
	other.Expect("Enter your current password:", machine.Patience)
	for account, d := range map[string]*machine.Dialogue{"admin": intruder, "user222": other} {
		s.passwd(account, oldPassword)
		start := time.Now()
		d.Ended(machine.Patience)
		if took := time.Since(start); took > 2*time.Second+slack {
			s.t.Errorf("%s's prompt outlived root's passwd by %v", account, took)
		}
	}
	intruder = s.SSH("admin", oldPassword)
	intruder.Answer("# ", "set password")
	intruder.Expect("Enter your current password:", machine.Patience)
	d := s.SSH("admin", oldPassword)
	d.Expect("# ", machine.Patience)
	setPassword(d, oldPassword, newPassword)
	d.Expect("Password updated successfully", machine.Patience)
	d.Ended(machine.Patience)
	intruder.Ended(machine.Patience)
	s.lets("admin", newPassword, oldPassword)
}

// TestProtectedAccount: an administrator in pcli cannot change an account that may become root.
func TestProtectedAccount(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.Must("usermod", "-aG", "sudo", "user222")
	before := s.ReadFile("/etc/shadow") + s.ReadFile("/etc/passwd") + s.ReadFile("/etc/group")
	d := s.SSH("admin", oldPassword)
	d.Expect("# ", machine.Patience)
	for _, command := range []string{"lock user user222", "unlock user user222", "expire password user222", "disconnect user force user222", "delete user force user222"} {
		d.Send(command + "\n")
		d.Expect("is protected", machine.Patience)
	}
	for _, attribute := range []string{"full-name Eve", "role admin", "shell /usr/bin/pcli", "enabled false"} {
		d.Send("edit user user222 " + attribute + "\n")
		d.Expect("is protected", machine.Patience)
	}
	d.Send("edit user user222 password\n")
	d.Answer("Password: ", newPassword)
	d.Answer("Confirm: ", newPassword)
	d.Expect("is protected", machine.Patience)
	for _, name := range []string{"root", "nobody", "ghost"} {
		d.Send("lock user " + name + "\n")
		d.Expect("no such account: "+name, machine.Patience)
	}
	if after := s.ReadFile("/etc/shadow") + s.ReadFile("/etc/passwd") + s.ReadFile("/etc/group"); after != before {
		t.Error("something was changed")
	}
	// If the store takes no new accounts, the account is not created in the OS either.
	d.Send("create user newcomer\n")
	d.Expect("takes no new accounts: create newcomer in ", machine.Patience)
	if s.Run("id", "newcomer").Code == 0 || s.Run("test", "-e", "/home/newcomer").Code == 0 {
		t.Error("half an account is left")
	}
	if status := s.Must("shadowsync", "status"); strings.Contains(status, "newcomer") {
		t.Errorf("it is managed:\n%s", status)
	}
}

// TestHeldDialogue: whoever knows the password and holds a change of it open does not keep its owner from
// changing it.
func TestHeldDialogue(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	thief, owner := s.SSH("user222", oldPassword), s.SSH("user222", oldPassword)
	thief.Expect("user222@node1.conductor> ", machine.Patience)
	thief.Send("set password\n")
	thief.Answer("Enter your current password:", oldPassword)
	thief.Expect("Enter a new password:", machine.Patience)
	owner.Expect("user222@node1.conductor> ", machine.Patience)
	setPassword(owner, oldPassword, newPassword)
	owner.Expect("Password updated successfully", machine.Patience)
	s.lets("user222", newPassword, oldPassword)
}
