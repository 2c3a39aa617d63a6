package scenes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestEverySessionEnds: everything that the old password opened ends within two seconds after
// the new one is confirmed, and the shell that set it ends last. Other users notice nothing.
func TestEverySessionEnds(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	s.leaveBehind()
	own := s.SSH("admin", oldPassword)
	own.Expect("# ", machine.Patience)
	setter := strings.TrimSpace(s.Must("pgrep", "-U", "admin", "-x", "pcli"))
	carrier := strings.TrimSpace(s.Must("ps", "-o", "ppid=", setter))
	others := s.openMore()
	other := s.suInside()
	bystander := s.SSH("user222", oldPassword)
	bystander.Expect("> ", machine.Patience)
	// A service, as the application, may run as that user, and must go on.
	s.Must("systemd-run", "--quiet", "--unit=worker", "-p", "User=admin", "sleep", "4712")
	s.openDoors()

	opened := s.openedBy("admin")
	ended := s.witness(slices.Collect(maps.Keys(opened)))
	setPassword(own, oldPassword, newPassword)
	confirmed := time.Now()
	own.Expect("Password updated successfully", machine.Patience)
	namesDoors(own)
	for _, d := range append(others, own) {
		d.Ended(machine.Patience)
	}
	s.gone(opened, ended(), setter, carrier, confirmed)
	s.eventually("logind has no session of admin's", machine.Patience, func() bool {
		return !strings.Contains(s.Must("loginctl", "list-sessions", "--no-legend"), "admin")
	})
	if s.Run("pgrep", "-f", "sleep 4712").Code != 0 {
		t.Error("a service that runs as admin was ended")
	}
	other.Send("echo still $((40+2))\n")
	other.Expect("still 42", machine.Patience)
	bystander.Send("show user\n")
	bystander.Expect("user222", machine.Patience)
	s.letsEverywhere("admin", newPassword, oldPassword)
}

const masterSocket = "/run/master"

// leaveBehind logs in to a shell, leaves one tmux behind in that session and another one in
// admin's own systemd, which lingers, and opens a master for multiplexed ssh connections.
func (s *stage) leaveBehind() {
	s.t.Helper()
	s.Must("usermod", "-s", "/bin/bash", "admin")
	s.Must("loginctl", "enable-linger", "admin")
	d := s.logIn("admin", oldPassword)
	d.Send("tmux -L here new -d; systemd-run --user --scope --quiet tmux -L there new -d; exit\n")
	d.Ended(machine.Patience)
	s.Must("usermod", "-s", "/usr/bin/pcli", "admin")
	s.Must("systemd-run", "--quiet", "--unit=client", "--setenv=SSHPASS="+oldPassword, "sshpass", "-e", "ssh", "-F", "none", "-l", "admin",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "PreferredAuthentications=password",
		"-M", "-S", masterSocket, "-N", "127.0.0.1")
	s.WaitFor("the master", machine.Patience, func() bool { return s.Run("ssh", "-S", masterSocket, "-O", "check", "x").Code == 0 })
}

// openMore opens two more shells over separate connections, and two over the master's.
func (s *stage) openMore() []*machine.Dialogue {
	s.t.Helper()
	more := []*machine.Dialogue{s.SSH("admin", oldPassword), s.SSH("admin", oldPassword)}
	for range 2 {
		more = append(more, s.Terminal("ssh", "-tt", "-S", masterSocket, "127.0.0.1"))
	}
	for _, d := range more {
		d.Expect("admin@node1.conductor# ", machine.Patience)
	}
	return more
}

// suInside opens a shell by su inside another user's session, and leaves a process behind there
// that has neither parent nor terminal.
func (s *stage) suInside() *machine.Dialogue {
	s.t.Helper()
	s.AddUser("guest", oldPassword)
	d := s.logIn("guest", oldPassword)
	d.Send("su -s /bin/bash admin\n")
	d.Answer("Password: ", oldPassword)
	d.Answer("admin@node1:", "setsid --fork sleep 4714")
	d.Expect("admin@node1:", machine.Patience)
	return d
}

// openDoors gives admin ways to log in or run programs that a changed password does not close.
func (s *stage) openDoors() {
	s.t.Helper()
	s.MustShell("install -d -o admin -m 700 /home/admin/.ssh && echo key > /home/admin/.ssh/authorized_keys && echo '* * * * * true' | crontab -u admin -")
	s.As("admin").Input("true\n").Must("at", "now + 1 hour")
}

func namesDoors(d *machine.Dialogue) {
	for _, door := range []string{
		"ssh keys in /home/admin/.ssh/authorized_keys still let in", "the crontab /var/spool/cron/crontabs/admin still runs",
		"1 at job in /var/spool/cron/atjobs still runs", "lingering is on",
	} {
		d.Expect(door, machine.Patience)
	}
}

// openedBy returns the names of an account's processes, by pid, without those of services.
func (s *stage) openedBy(account string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(s.Must("ps", "-U", account, "-o", "pid=,comm=,args=")) {
		pid, called, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.Contains(called, "sleep 4712") {
			all[pid] = called
		}
	}
	for what, least := range map[string]int{"pcli": 5, "bash": 3, "tmux: server": 2, "systemd ": 1, "sshd": 4, "sleep 4714": 1} {
		n := 0
		for _, called := range all {
			if strings.Contains(called, what) {
				n++
			}
		}
		if n < least {
			s.t.Errorf("%d processes are %s, want %d: %q", n, what, least, all)
		}
	}
	return all
}

// witness notes when processes end, from now on. It uses epoll(7), which reports the ends in their
// order, even if late. The returned function waits until all have ended.
func (s *stage) witness(pids []string) func() map[string]time.Time {
	s.t.Helper()
	const script = `import os, select, sys, time
alive, poll = {}, select.epoll()
for pid in sys.argv[1:]:
    fd = os.pidfd_open(int(pid))
    alive[fd] = pid
    poll.register(fd, select.EPOLLIN)
print("ready", flush=True)
while alive:
    for fd, _ in poll.poll():
        print(alive.pop(fd), time.time_ns(), flush=True)
        poll.unregister(fd)
`
	p := s.Start(append([]string{"python3", "-c", script}, pids...)...)
	s.WaitFor("the witness", machine.Patience, func() bool { return strings.HasPrefix(p.Output(), "ready") })
	return func() map[string]time.Time {
		s.t.Helper()
		select {
		case <-p.Done():
		case <-time.After(machine.Patience): // the caller reports by name which have not ended
		}
		ended := map[string]time.Time{}
		for line := range strings.Lines(strings.TrimPrefix(p.Output(), "ready\n")) {
			var pid string
			var at int64
			if _, err := fmt.Sscan(line, &pid, &at); err != nil {
				s.t.Fatalf("the witness says %q", line)
			}
			ended[pid] = time.Unix(0, at)
		}
		return ended
	}
}

// gone asserts that everything that was opened ended soon after the confirmation. After the
// shell that set the password only its carriers may end: its sshd, and the account's systemd,
// which ends with the last session.
func (s *stage) gone(opened map[string]string, ended map[string]time.Time, setter, carrier string, confirmed time.Time) {
	s.t.Helper()
	latest := confirmed
	for pid, called := range opened {
		at, there := ended[pid]
		if took := at.Sub(confirmed); !there || took > 2*time.Second+slack {
			s.t.Errorf("%s (%s) ended %v after the confirmation (if at all: %v)", called, pid, took, there)
		}
		if at.After(latest) {
			latest = at
		}
		carries := pid == carrier || strings.Contains(called, "systemd") || strings.Contains(called, "(sd-pam)")
		if at.After(ended[setter]) && !carries {
			s.t.Errorf("%s (%s) ended %v after the shell that set the password", called, pid, at.Sub(ended[setter]))
		}
	}
	s.t.Logf("all ended %v after the confirmation", latest.Sub(confirmed))
}
