package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/machine"
)

// The passwords are good ones: pam_pwquality judges them here as in life.
const (
	oldPassword = "Copper-kettle-41"
	newPassword = "Velvet-harbour-72"
)

// manned sets a stage with pcli as login shell of both accounts, whose passwords
// are known, and with administrators by group.
func manned(t *testing.T, release machine.Release) *stage {
	t.Helper()
	s := set(t, release, machine.Appliance{}, "[[application]]", "[roles]\nadmin = [\"operators\"]\n\n[[application]]")
	s.MustShell("groupadd operators && usermod -aG operators admin && echo /usr/bin/pcli >> /etc/shells")
	s.Must("usermod", "-s", "/usr/bin/pcli", "admin")
	s.Must("usermod", "-s", "/usr/bin/pcli", "user222")
	s.passwd("admin", oldPassword)
	s.passwd("user222", oldPassword)
	return s
}

// setPassword is the seed's dialogue at a prompt, up to the answer.
func setPassword(d *machine.Dialogue, current, fresh string) {
	d.Send("set password\n")
	d.Answer("Enter your current password:", current)
	d.Answer("Enter a new password:", fresh)
	d.Answer("Confirm:", fresh)
}

// TestOperatorSetsPassword is the transcript of the seed over a real ssh login
// with pcli as login shell.
func TestOperatorSetsPassword(t *testing.T) {
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := manned(t, release)
			d := s.SSH("admin", oldPassword)
			d.Expect("# ", machine.Patience)
			setPassword(d, oldPassword, newPassword)
			start := time.Now()
			d.Expect("Password updated successfully", machine.Patience)
			t.Logf("answered in %v", time.Since(start))
			d.Ended(machine.Patience)
			s.lets("admin", newPassword, oldPassword)
			s.same("admin")
			audit := s.Must("shadowsync", "audit", "--user", "admin")
			if !strings.Contains(audit, "pcli") {
				t.Errorf("the audit does not tell that pcli did it:\n%s", audit)
			}
			s.restart()
			s.lets("admin", newPassword, oldPassword)
		})
	}
}

// lets asserts which of two passwords logs in to pcli, by ssh.
func (s *stage) lets(account, right, wrong string) {
	s.t.Helper()
	for password, want := range map[string]int{right: 0, wrong: 255} {
		r := s.ssh(account, password)
		if r.Code != want {
			s.t.Errorf("%s with %q: %s", account, password, r)
		}
	}
}

// ssh runs one command of pcli over ssh.
func (s *stage) ssh(account, password string) machine.Result {
	s.t.Helper()
	return s.Env("SSHPASS="+password).Run("sshpass", "-e", "ssh", "-F", "none", "-l", account, "-o", "StrictHostKeyChecking=no",
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

// TestEverySessionEnds: whatever the old password opened is gone within two
// seconds of the answer, and nobody else notices.
func TestEverySessionEnds(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.AddUser("guest", oldPassword)
	var open []*machine.Dialogue
	for range 3 {
		d := s.SSH("admin", oldPassword)
		d.Expect("# ", machine.Patience)
		open = append(open, d)
	}
	// A shell by su inside another user's session.
	other := s.SSH("guest", oldPassword)
	other.Expect("$ ", machine.Patience)
	other.Send("su -s /bin/bash admin\n")
	other.Answer("Password: ", oldPassword)
	other.Expect("$ ", machine.Patience)
	other.Send("setsid --fork sleep 4714\n") // what tmux and screen leave behind: no parent, no terminal
	other.Expect("$ ", machine.Patience)
	other.Send("exec sleep 4711\n")
	bystander := s.SSH("user222", oldPassword)
	bystander.Expect("> ", machine.Patience)
	s.leaveBehind()
	// The application itself may run as that user.
	s.Must("systemd-run", "--quiet", "--unit=worker", "-p", "User=admin", "sleep", "4712")
	running := func(mark string) bool { return s.Run("pgrep", "-f", "sleep "+mark).Code == 0 }
	s.WaitFor("the su shell", machine.Patience, func() bool { return running("4711") && running("4714") })
	s.MustShell(openDoors)

	setPassword(open[0], oldPassword, newPassword)
	open[0].Expect("Password updated successfully", machine.Patience)
	start := time.Now()
	namesDoors(open[0])
	for i, d := range open {
		d.Ended(machine.Patience)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("session %d ended %v after the answer", i, took)
		}
	}
	for mark, what := range map[string]string{"4711": "the su shell", "4713": "what lingers", "4714": "what has left its terminal"} {
		if running(mark) {
			t.Errorf("%s is alive", what)
		}
	}
	if s.Run("ssh", "-S", masterSocket, "-O", "check", "x").Code == 0 {
		t.Error("the multiplexed master is alive")
	}
	if !running("4712") {
		t.Error("a service that runs as admin was ended")
	}
	other.Send("echo still $((40+2))\n")
	other.Expect("still 42", machine.Patience)
	bystander.Send("show user\n")
	bystander.Expect("user222", machine.Patience)
	s.lets("admin", newPassword, oldPassword)
	if left := s.Must("loginctl", "list-sessions", "--no-legend"); strings.Contains(left, "admin") {
		t.Errorf("sessions of admin are left:\n%s", left)
	}
}

const masterSocket = "/run/master"

// openDoors gives admin the ways in that a changed password does not close.
const openDoors = `install -d -o admin -m 700 /home/admin/.ssh && echo key > /home/admin/.ssh/authorized_keys &&
mkdir -p /var/spool/cron/crontabs /var/spool/cron/atjobs && echo '* * * * * true' > /var/spool/cron/crontabs/admin &&
echo true > /var/spool/cron/atjobs/a00001 && chown admin /var/spool/cron/atjobs/a00001`

func namesDoors(d *machine.Dialogue) {
	for _, door := range []string{
		"ssh keys in /home/admin/.ssh/authorized_keys still let in", "the crontab /var/spool/cron/crontabs/admin still runs",
		"1 at jobs in /var/spool/cron/atjobs still run", "lingering is on",
	} {
		d.Expect(door, machine.Patience)
	}
}

// leaveBehind opens a multiplexed master as admin, and a service of admin's own
// systemd, which lingers.
func (s *stage) leaveBehind() {
	s.t.Helper()
	s.Must("systemd-run", "--quiet", "--unit=client", "--setenv=SSHPASS="+oldPassword, "sshpass", "-e", "ssh", "-F", "none", "-l", "admin",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "PreferredAuthentications=password",
		"-M", "-S", masterSocket, "-N", "127.0.0.1")
	s.WaitFor("the master", machine.Patience, func() bool { return s.Run("ssh", "-S", masterSocket, "-O", "check", "x").Code == 0 })
	s.MustShell(`units=/run/systemd/user/default.target.wants && mkdir -p $units &&
		printf '[Unit]\nConditionUser=admin\n[Service]\nExecStart=/bin/sleep 4713\n' > /run/systemd/user/left.service && ln -s ../left.service $units/ &&
		loginctl enable-linger admin && systemctl restart user@$(id -u admin).service`)
	s.WaitFor("the lingering service", machine.Patience, func() bool { return s.Run("pgrep", "-f", "sleep 4713").Code == 0 })
}

// TestOperatorIsRefused: a wrong current password, a weak new one and a store
// that cannot take it change nothing on either side.
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
	s.Must("umount", "/var/lib/128technology")
	audit := s.Must("shadowsync", "audit", "--user", "user222")
	for _, want := range []string{"current password not proven", "BAD PASSWORD", "cannot take it"} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit has no %q:\n%s", want, audit)
		}
	}
	s.lets("user222", oldPassword, newPassword)
}

// TestGuessing: wrong passwords count where the machine counts them, and after five
// of them nothing is even tried for a while.
func TestGuessing(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
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

// TestStoppedWorker: whoever stops the worker that acts for them holds nobody up
// for longer than its deadline, and changes nothing.
func TestStoppedWorker(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	before := s.ShadowHash("user222") + s.StoreHash("user222")
	stopper := s.As("user222").Start("sh", "-c", "while :; do pkill -STOP -U user222 -f worker-pa[m]; done")
	defer func() { _ = stopper.Stop() }()
	d := s.SSH("user222", oldPassword)
	d.Answer("> ", "set password")
	d.Answer("Enter your current password:", oldPassword)
	d.Expect("nothing was changed", 20*time.Second)
	if after := s.ShadowHash("user222") + s.StoreHash("user222"); after != before {
		t.Error("something was changed")
	}
	start := time.Now()
	s.passwd("admin", newPassword)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("root's passwd took %v", took)
	}
	if left := s.Run("pgrep", "-f", "shadowsync worker-pa[m]"); left.Code == 0 {
		t.Errorf("workers are left: %s", left)
	}
}
