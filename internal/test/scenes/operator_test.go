package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// Both passwords are strong, because pam_pwquality judges them as on a real system.
const (
	oldPassword = "Copper-kettle-41"
	newPassword = "Velvet-harbour-72"
)

// manned sets a stage on which pcli is the login shell of both accounts, both passwords are
// known, and a group makes administrators.
func manned(t *testing.T, release machine.Release) *stage {
	t.Helper()
	return mannedOn(t, machine.Boot(t, release))
}

// mannedOn is manned on a machine that was booted.
func mannedOn(t *testing.T, m *machine.T) *stage {
	t.Helper()
	s := setOn(t, m, machine.Appliance{}, "[[application]]", "[roles]\nadmin = [\"operators\"]\n\n[[application]]")
	s.MustShell("groupadd operators && usermod -aG operators admin && echo /usr/bin/pcli >> /etc/shells")
	s.Must("usermod", "-s", "/usr/bin/pcli", "admin")
	s.Must("usermod", "-s", "/usr/bin/pcli", "user222")
	s.passwd("admin", oldPassword)
	s.passwd("user222", oldPassword)
	return s
}

// setPassword plays the dialogue of set password at a prompt, up to the answer.
func setPassword(d *machine.Dialogue, current, fresh string) {
	d.Send("set password\n")
	d.Answer("Enter your current password:", current)
	d.Answer("Enter a new password:", fresh)
	d.Answer("Confirm:", fresh)
}

// lets asserts that the password right gets into pcli by ssh and by su, and that wrong does not.
func (s *stage) lets(account, right, wrong string) {
	s.t.Helper()
	s.doors(account, map[string]bool{right: true, wrong: false})
}

// letsEverywhere asserts the same as lets, and also for the question for the current password in pcli.
func (s *stage) letsEverywhere(account, right, wrong string) {
	s.t.Helper()
	s.lets(account, right, wrong)
	const givenUp, notProven = 130, 7 // givenUp: the input ends at the question for the new password
	for password, want := range map[string]int{right: givenUp, wrong: notProven} {
		if r := s.As(account).Input(password+"\n").Run("pcli", "--stdin", "-c", "set password"); r.Code != want {
			s.t.Errorf("set password of %s, proven with %q: %s", account, password, r)
		}
	}
}

// doors tries passwords at ssh and su, all at once, because a refusal takes a while.
func (s *stage) doors(account string, opens map[string]bool) {
	s.t.Helper()
	type try struct {
		*machine.Process
		what string
		want int
	}
	var tries []try
	for password, open := range opens {
		ssh, su := try{s.sshStarts(account, password), "ssh with " + password, 255}, try{s.suStarts(account, password), "su with " + password, 1}
		if open {
			ssh.want, su.want = 0, 0
		}
		tries = append(tries, ssh, su)
	}
	for _, one := range tries {
		select {
		case <-one.Done():
		case <-time.After(machine.Patience):
			s.t.Fatalf("%s as %s does not end; %s", one.what, account, one.Output())
		}
		if one.Code() != one.want {
			s.t.Errorf("%s as %s: exit status %d, want %d; %s", one.what, account, one.Code(), one.want, one.Output())
		}
	}
}

// suStarts runs a command through su as nobody, a user without rights.
func (s *stage) suStarts(account, password string) *machine.Process {
	s.t.Helper()
	return s.As("nobody").Input(password+"\n").Start("su", account, "-c", "show user")
}

func (s *stage) sshStarts(account, password string) *machine.Process {
	s.t.Helper()
	return s.Env("SSHPASS="+password).Start("sshpass", "-e", "ssh", "-F", "none", "-l", account, "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1",
		"127.0.0.1", "show user")
}

// same asserts that both sides hold the same hash.
func (s *stage) same(account string) {
	s.t.Helper()
	if os, store := s.ShadowHash(account), s.StoreHash(account); os != store {
		s.t.Errorf("%s: the OS holds %q, the store %q", account, os, store)
	}
}

// TestOperatorIsRefused: neither side changes if the current password is wrong, if the new one
// is weak, or if the store cannot take it.
func TestOperatorIsRefused(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	before := s.ShadowHash("user222") + s.StoreHash("user222")
	unchanged := func(what string) {
		t.Helper()
		if after := s.ShadowHash("user222") + s.StoreHash("user222"); after != before {
			t.Errorf("%s: something was changed", what)
		}
	}
	d := s.SSH("user222", oldPassword)
	d.Answer("> ", "set password")
	d.Answer("Enter your current password:", "Wrong-"+oldPassword)
	d.Expect("not correct", machine.Patience)
	unchanged("wrong current password")

	d.Answer("> ", "set password")
	d.Answer("Enter your current password:", oldPassword)
	for range 3 {
		d.Answer("Enter a new password:", "abc")
		d.Answer("Confirm:", "abc")
		d.Expect("BAD PASSWORD", machine.Patience)
	}
	unchanged("weak passwords")

	s.Must("mount", "--bind", "-o", "ro", "/var/lib/128technology", "/var/lib/128technology")
	d.Answer("> ", "set password")
	d.Answer("Enter your current password:", oldPassword)
	d.Answer("Enter a new password:", newPassword)
	d.Answer("Confirm:", newPassword)
	d.Expect("nothing was changed", machine.Patience)
	unchanged("a store that is read-only")
	if status := s.Must("shadowsync", "status"); !strings.Contains(status, "guard off") {
		t.Errorf("an operator's change guards the unit:\n%s", status)
	}
	s.Must("umount", "--lazy", "/var/lib/128technology")
	for _, want := range []string{"wrong current password", "BAD PASSWORD", "cannot take it"} {
		s.eventually("the audit has "+want, machine.Patience, func() bool {
			return strings.Contains(s.Must("shadowsync", "audit", "--user", "user222"), want)
		})
	}
	s.lets("user222", oldPassword, newPassword)
	s.judgedByStack()
}

// judgedByStack: the machine's own minimum age and history of passwords also apply in pcli, and
// pcli shows the reason.
func (s *stage) judgedByStack() {
	s.t.Helper()
	s.Must("chage", "-m", "5", "user222")
	d := s.SSH("user222", oldPassword)
	d.Expect("> ", machine.Patience)
	setPassword(d, oldPassword, newPassword)
	d.Expect("✖ Modifying password...\r\n% Error: You must wait longer to change your password", machine.Patience)
	s.Must("chage", "-m", "0", "user222")

	s.MustShell("sed -i '/^password.*pam_unix/i password requisite pam_pwhistory.so remember=5 use_authtok' /etc/pam.d/common-password")
	setPassword(d, oldPassword, newPassword)
	d.Expect("Password updated successfully", machine.Patience)
	d.Ended(machine.Patience)
	d = s.SSH("user222", newPassword)
	d.Expect("> ", machine.Patience)
	setPassword(d, newPassword, oldPassword)
	for range 2 {
		d.Expect("% Error: Password has been already used", machine.Patience)
		d.Answer("Enter a new password:", oldPassword)
		d.Answer("Confirm:", oldPassword)
	}
	d.Expect("✖ Modifying password...\r\n% Error: Password has been already used", machine.Patience)
	s.same("user222")
	s.lets("user222", newPassword, oldPassword)
}

// TestGuessing: pcli's wrong passwords count in the machine's own counter, and after five of
// them pcli refuses further tries for a while.
func TestGuessing(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.sub("who kills the worker that proves", killsProof)
	s.WriteFile("/etc/pam.d/common-auth", "auth required pam_faillock.so preauth deny=20\nauth [success=1 default=ignore] pam_unix.so nodelay\n"+
		"auth [default=die] pam_faillock.so authfail deny=20\nauth required pam_permit.so\n", 0o644)
	d := s.SSH("user222", oldPassword)
	d.Expect("> ", machine.Patience)
	s.Must("faillock", "--user", "user222", "--reset")
	for range 5 {
		d.Send("set password\n")
		d.Answer("Enter your current password:", "Wrong-"+oldPassword)
		d.Expect("not correct", machine.Patience)
	}
	if counted := strings.Count(s.Must("faillock", "--user", "user222"), "V\n"); counted != 5 {
		t.Errorf("pam_faillock counted %d", counted)
	}
	d.Send("set password\n")
	d.Expect("too many failures; try again in", machine.Patience)
	s.Must("shadowsync", "user", "unlock", "user222")
}

// killsProof: a guess is counted before it is checked. The worker has the user's real uid, so
// the user can kill it, but gains no guess by that.
func killsProof(s *stage) {
	killer := s.As("admin").Start("sh", "-c", "echo ready; while :; do pkill -KILL -U admin -f worker-pa[m]; done")
	s.WaitFor("the killer", machine.Patience, func() bool { return strings.HasPrefix(killer.Output(), "ready") })
	d := s.SSH("admin", oldPassword)
	d.Expect("# ", machine.Patience)
	for range 5 {
		d.Send("set password\n")
		d.Answer("Enter your current password:", "Wrong-"+oldPassword)
		d.Expect("could not be checked; nothing was changed", machine.Patience)
	}
	d.Send("set password\n")
	d.Expect("too many failures; try again in", machine.Patience)
	if err := killer.Stop(); err != nil {
		s.t.Fatal(err)
	}
}
