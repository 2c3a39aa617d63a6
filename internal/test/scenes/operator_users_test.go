package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// administered sets a stage with the embedded store, which takes new accounts, and logs admin
// in to pcli.
func administered(t *testing.T) (*stage, *machine.Dialogue) {
	t.Helper()
	edits := embedded("[[application]]", "[roles]\nadmin = [\"operators\"]\n\n[password]\nmax_days = 90\nreject = [\"Acme\"]\n\n[[application]]")
	s := set(t, machine.Bookworm, machine.Appliance{Embedded: embeddedPath}, edits...)
	s.MustShell("groupadd operators && usermod -aG operators -s /usr/bin/pcli admin && echo /usr/bin/pcli >> /etc/shells")
	s.passwd("admin", oldPassword)
	d := s.SSH("admin", oldPassword)
	d.Expect("# ", machine.Patience)
	return s, d
}

// TestAdministratorsUsers: an account is created on both sides, used, changed and deleted.
func TestAdministratorsUsers(t *testing.T) {
	t.Parallel()
	s, d := administered(t)
	create(d, "jdeveloper", "abc")
	d.Expect("BAD PASSWORD", machine.Patience)
	d.Answer("Password: ", "Marzipan-aCMe-orbit-55") // pam_pwquality accepts it
	d.Answer("Confirm: ", "Marzipan-aCMe-orbit-55")
	d.Expect("BAD PASSWORD: it contains a forbidden text", machine.Patience)
	if s.Run("id", "jdeveloper").Code == 0 {
		t.Error("an account with a refused password was left")
	}
	d.Answer("Password: ", newPassword)
	d.Answer("Confirm: ", newPassword)
	d.Expect("successfully created", machine.Patience)
	s.becomes("jdeveloper", newPassword)
	s.lets("jdeveloper", newPassword, oldPassword)
	if max := s.field("jdeveloper", 5); max != "90" {
		t.Errorf("its password is good for %s days", max)
	}
	if id := s.Must("id", "jdeveloper"); strings.Contains(id, "operators") || strings.Contains(id, "sudo") {
		t.Errorf("a plain user is %s", id)
	}

	s.noSudo(d)
	s.edits(d)
	d.Send("lock user jdeveloper\n")
	d.Expect("successfully locked", machine.Patience)
	s.doors("jdeveloper", map[string]bool{newPassword: false})
	d.Send("unlock user jdeveloper\n")
	d.Expect("successfully unlocked", machine.Patience)
	s.lets("jdeveloper", newPassword, oldPassword)
	d.Send("lock user admin\n")
	d.Expect("only root may", machine.Patience)
	d.Send("delete user force user222\n")
	d.Expect("only root may", machine.Patience)
	s.restart()
	s.lets("jdeveloper", newPassword, oldPassword)

	s.passwd("user222", oldPassword) // before it has sessions that this would end
	s.leavesTraces("jdeveloper", "user222")
	uid := strings.TrimSpace(s.Must("id", "-u", "jdeveloper"))
	waits := s.asksMeanwhile()
	create(d, "newcomer", newPassword)
	d.Expect("successfully created", machine.Patience)
	d.Send("delete user force jdeveloper remove-home\n")
	d.Expect("successfully deleted", machine.Patience)
	waits.Send(newPassword + "\n")
	waits.Answer("Confirm:", newPassword)
	waits.Expect("Password updated successfully", machine.Patience)
	s.becomes("user222", newPassword)
	s.leftTraces("jdeveloper", uid, "user222")
	if left := s.Must("sqlite3", "/var/lib/shadowsync/credentials.db", "SELECT name FROM credential"); strings.Contains(left, "jdeveloper") {
		t.Errorf("the store still has it:\n%s", left)
	}
	if s.Run("id", "jdeveloper").Code == 0 || s.Run("test", "-e", "/home/jdeveloper").Code == 0 {
		t.Error("the account or its home is left")
	}
	s.eventually("status is well", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 })
	if status := s.Must("shadowsync", "status"); strings.Contains(status, "jdeveloper") {
		t.Errorf("it is still managed:\n%s", status)
	}
	d.Send("show user all\n")
	d.Expect("user222", machine.Patience)
	s.keepsHomes(d)
}

// keepsHomes: a deleted account's home stays unless the operator asks otherwise, and no new account
// gets its uid. An account that must change its password must still do so after an operator sets it.
func (s *stage) keepsHomes(d *machine.Dialogue) {
	s.t.Helper()
	d.Send("expire password newcomer\n")
	d.Expect("successfully expired", machine.Patience)
	d.Send("edit user newcomer password\n")
	d.Answer("Password: ", "Wooden-lantern-58")
	d.Answer("Confirm: ", "Wooden-lantern-58")
	d.Expect("newcomer must still set a new one at the next login", machine.Patience)
	if day := s.field("newcomer", 3); day != "0" {
		s.t.Errorf("an account that had to change its password need not any more: last change %q", day)
	}
	uid := strings.TrimSpace(s.Must("id", "-u", "newcomer"))
	d.Send("delete user newcomer\n")
	d.Expect("The home /home/newcomer stays", machine.Patience)
	d.Answer("[y/N]: ", "y")
	d.Expect("kept: the home /home/newcomer", machine.Patience)
	if owner := strings.TrimSpace(s.Must("stat", "--format=%u", "/home/newcomer")); owner != uid {
		s.t.Errorf("the home is of uid %s now", owner)
	}
	create(d, "another", newPassword)
	d.Expect("successfully created", machine.Patience)
	if strings.TrimSpace(s.Must("id", "-u", "another")) == uid {
		s.t.Error("another account has the home's uid")
	}
}

// asksMeanwhile leaves user222 at the question for a new password: creating and deleting other
// accounts must not break off this dialogue.
func (s *stage) asksMeanwhile() *machine.Dialogue {
	s.t.Helper()
	d := s.Terminal("su", "user222", "-c", "pcli")
	d.Answer("> ", "set password")
	d.Answer("Enter your current password:", oldPassword)
	d.Expect("Enter a new password:", machine.Patience)
	return d
}

// edits changes an account in the menu of edit user, where each line takes effect at once.
func (s *stage) edits(d *machine.Dialogue) {
	s.t.Helper()
	d.Answer("# ", "edit user jdeveloper")
	for _, line := range []string{"full-name Jane Developer", "role admin", "enabled false"} {
		d.Answer("(user[name=jdeveloper])# ", line)
		d.Expect("Account 'jdeveloper' updated successfully", machine.Patience)
	}
	if entry := s.Must("getent", "passwd", "jdeveloper"); !strings.Contains(entry, ":Jane Developer:") {
		s.t.Errorf("the full name is not changed: %s", entry)
	}
	if id := s.Must("id", "jdeveloper"); !strings.Contains(id, "operators") {
		s.t.Errorf("an administrator is %s", id)
	}
	s.doors("jdeveloper", map[string]bool{newPassword: false})
	d.Answer("# ", "shell /bin/bash")
	d.Expect("the shell must be one of /usr/bin/pcli", machine.Patience)
	d.Answer("# ", "password")
	d.Answer("Password: ", "abc")
	d.Answer("Confirm: ", "abc")
	d.Expect("BAD PASSWORD", machine.Patience)
	for _, line := range []string{"enabled true", "role user"} {
		d.Answer("# ", line)
		d.Expect("updated successfully", machine.Patience)
	}
	d.Answer("# ", "show")
	d.Expect("Full Name: Jane Developer", machine.Patience)
	d.Answer("# ", "exit")
	d.Expect("admin@node1.conductor# ", machine.Patience)
	s.lets("jdeveloper", newPassword, oldPassword)
}

func create(d *machine.Dialogue, name, password string) { createAs(d, name, password, "") }

func createAs(d *machine.Dialogue, name, password, role string) {
	d.Send("create user " + name + "\n")
	d.Answer("Full Name: ", "Joe Developer")
	d.Answer("Password: ", password)
	d.Answer("Confirm: ", password)
	d.Answer("Role", role)
	d.Answer("Enabled", "")
}
