package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestForcedChange: an administrator expires a password. The one that its owner sets at the next
// login reaches both sides, whichever program asks for it, and ends the earlier sessions. pcli is
// the login shell.
func TestForcedChange(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	admin := s.SSH("admin", oldPassword)
	admin.Expect("# ", machine.Patience)
	current, fresh := oldPassword, newPassword
	for _, way := range []struct {
		name, program string // program: as the audit names it
		change        func(s *stage, current, fresh string)
	}{
		{"ssh", "passwd", forcedBySSH},
		{"ssh, as one dialogue", "sshd", forcedInDialogue},
		{"login", "login", forcedByLogin},
		{"su", "su", forcedBySu},
		{"pcli", "pcli", forcedByPcli},
	} {
		stale := s.SSH("user222", current)
		stale.Expect("> ", machine.Patience)
		admin.Send("expire password user222\n")
		admin.Expect("Password of account 'user222' successfully expired", machine.Patience)
		s.sub(way.name, func(s *stage) {
			way.change(s, current, fresh)
			stale.Ended(machine.Patience)
			s.same("user222")
			if last := s.state("user222").LastChange; last == nil || !strings.Contains(last.Program, way.program) {
				s.t.Errorf("the last change is %+v", last)
			}
			s.lets("user222", fresh, current)
		})
		current, fresh = fresh, current
	}
}

// forcedBySSH: sshd runs passwd(1) and closes.
func forcedBySSH(s *stage, current, fresh string) {
	s.t.Helper()
	d := s.SSH("user222", current)
	d.Expect("Your password has expired", machine.Patience)
	renew(d, current, fresh)
	d.Expect("persisted in conductor's credential store", machine.Patience)
	d.Ended(machine.Patience)
	if strings.Contains(d.Transcript(), "conductor>") {
		s.t.Errorf("pcli came before the new password was tried:\n%s", d)
	}
}

// forcedInDialogue: if PAM leads the dialogue, sshd itself asks, and then starts pcli.
func forcedInDialogue(s *stage, current, fresh string) {
	s.t.Helper()
	s.MustShell("sed -i 's/^KbdInteractiveAuthentication.*/KbdInteractiveAuthentication yes/' /etc/ssh/sshd_config && systemctl restart ssh")
	d := s.Terminal("ssh", "-tt", "-F", "none", "-l", "user222", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", "PreferredAuthentications=keyboard-interactive", "127.0.0.1")
	d.Answer("Password: ", current)
	s.renewed(d, current, fresh)
}

// forcedByLogin: login(1) itself asks, and then starts pcli.
func forcedByLogin(s *stage, current, fresh string) {
	s.t.Helper()
	d := s.Terminal("login", "user222")
	d.Answer("Password: ", current)
	d.Expect("required to change your password", machine.Patience)
	s.renewed(d, current, fresh)
}

// forcedBySu: su(1) does the same.
func forcedBySu(s *stage, current, fresh string) {
	s.t.Helper()
	d := s.As("nobody").Terminal("su", "user222")
	d.Answer("Password: ", current)
	d.Expect("required to change your password", machine.Patience)
	s.renewed(d, current, fresh)
}

func renew(d *machine.Dialogue, current, fresh string) {
	d.Answer("urrent password: ", current)
	d.Answer("New password: ", fresh)
	d.Answer("Retype new password: ", fresh)
}

// renewed is renew, after which pcli starts.
func (s *stage) renewed(d *machine.Dialogue, current, fresh string) {
	s.t.Helper()
	renew(d, current, fresh)
	d.Expect("persisted in conductor's credential store", machine.Patience)
	d.Expect("user222@node1.conductor> ", machine.Patience)
	s.eventually("sessions have ended", machine.Patience, func() bool {
		all := s.audit("user222")
		return all[len(all)-1].Action == "logged-out"
	})
	d.Send("show user\n") // the session that was just opened with the new password goes on
	d.Expect("Information for user222", machine.Patience)
	d.Send("exit\n")
	d.Ended(machine.Patience)
}

// forcedByPcli is the contract's dialogue, byte for byte, for a user who is already logged in.
func forcedByPcli(s *stage, current, fresh string) {
	s.t.Helper()
	d := s.As("user222").Terminal("pcli")
	d.Answer("Enter your current password:", current)
	d.Answer("Enter a new password:", fresh)
	d.Answer("Confirm:", fresh)
	code := d.Ended(machine.Patience)
	want := "WARNING: Your password has expired.\r\nYou must change your password now and login again!\r\n" +
		strings.TrimPrefix(seedDialogue, "set password\r\n")
	if shown := d.Transcript(); code != 0 || shown != want {
		s.t.Errorf("exit status %d, after\n%q, want\n%q", code, shown, want)
	}
}
