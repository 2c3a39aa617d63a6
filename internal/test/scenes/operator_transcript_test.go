package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// seedDialogue is the contract's transcript of set password, from the command to the end.
const seedDialogue = "set password\r\n" +
	"Changing the current password will log this user out of all active sessions. Subsequent logins will require the new password to authenticate.\r\n" +
	"Enter your current password:\r\n" +
	"Enter a new password:\r\n" +
	"Confirm:\r\n" +
	"✔ Modifying password...\r\n" +
	"Password updated successfully\r\n"

// TestOperatorSetsPassword compares set password with the contract's transcript, byte for byte:
// on a terminal without a login, over a real ssh login with pcli as login shell, and by sudo su
// from another user's session.
func TestOperatorSetsPassword(t *testing.T) {
	t.Parallel()
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := manned(t, release)
			s.AddUser("t128-root", oldPassword)
			s.Must("usermod", "-aG", "sudo", "t128-root")

			d := s.As("admin").Terminal("pcli")
			s.transcribed(d, oldPassword, newPassword)
			s.leaves(d)

			d = s.SSH("admin", newPassword)
			s.transcribed(d, newPassword, oldPassword)
			s.leaves(d)
			if audit := s.Must("shadowsync", "audit", "--user", "admin"); !strings.Contains(audit, "pcli") {
				t.Errorf("the audit does not tell that pcli did it:\n%s", audit)
			}

			s.recovered()
			s.same("admin")
			s.letsEverywhere("admin", newPassword, oldPassword)
			s.restart()
			s.lets("admin", newPassword, oldPassword)
		})
	}
}

// transcribed changes admin's password at pcli's prompt, and compares what the terminal shows
// from there on with the transcript.
func (s *stage) transcribed(d *machine.Dialogue, current, fresh string) {
	s.t.Helper()
	const prompt = "admin@node1.conductor# "
	d.Expect(prompt, machine.Patience)
	setPassword(d, current, fresh)
	d.Expect("Password updated successfully\r\n", machine.Patience)
	shown := d.Transcript()
	shown = shown[strings.LastIndex(shown, prompt)+len(prompt):]
	if !strings.HasPrefix(shown, seedDialogue) {
		s.t.Errorf("the terminal shows\n%q, want\n%q", shown, seedDialogue)
	}
}

// leaves asserts that pcli ends, and that the dialogue's answer is the last text on the terminal.
func (s *stage) leaves(d *machine.Dialogue) {
	s.t.Helper()
	code := d.Ended(machine.Patience)
	if shown := d.Transcript(); code != 0 || !strings.HasSuffix(shown, seedDialogue) {
		s.t.Errorf("exit status %d, after\n%q", code, shown)
	}
}

// recovered is the contract's whole recovery, in the session of an administrator of the OS:
// sudo passwd, and then set password through sudo su. The session goes on after that.
func (s *stage) recovered() {
	s.t.Helper()
	const lost = "Marble-lantern-93"
	d := s.logIn("t128-root", oldPassword)
	d.Send("sudo passwd admin\n")
	d.Answer("password for t128-root: ", oldPassword)
	d.Answer("New password: ", lost)
	d.Answer("Retype new password: ", lost)
	d.Expect("updated successfully", machine.Patience)
	d.Answer("$ ", "sudo su admin")
	s.transcribed(d, lost, newPassword)
	d.Answer("$ ", "stty -a | grep -ow -- '-*echo'; tty; whoami")
	d.Expect("\recho\r\n/dev/pts/", machine.Patience)
	d.Expect("\r\nt128-root\r\n", machine.Patience)
	if left := s.Must("loginctl", "list-sessions", "--no-legend"); strings.Contains(left, "admin") || !strings.Contains(left, "t128-root") {
		s.t.Errorf("sessions:\n%s", left)
	}
}
