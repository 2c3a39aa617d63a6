package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestOperatorCommands: an administrator shows a user's sessions, ends them, and shows the
// activity. pcli names the processes that cannot be ended, and the ways to log in that remain.
func TestOperatorCommands(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	admin := s.SSH("admin", oldPassword)
	admin.Expect("# ", machine.Patience)
	first, second := s.SSH("user222", oldPassword), s.SSH("user222", oldPassword)
	first.Expect("> ", machine.Patience)
	second.Expect("> ", machine.Patience)

	if shown := asked(admin, "show user sessions user222"); strings.Count(shown, " user222 ") != 2 || strings.Count(shown, " 127.0.0.1 ") != 2 {
		t.Errorf("two sessions are shown as\n%s", shown)
	}
	if shown := asked(admin, "show user sessions"); strings.Count(shown, " (this one) ") != 1 || strings.Contains(shown, "user222") {
		t.Errorf("one's own session is shown as\n%s", shown)
	}
	admin.Send("disconnect user user222\n")
	admin.Answer("Disconnect all sessions of 'user222'? [y/N]: ", "n")
	admin.Expect("\r\nOperation canceled\r\n", machine.Patience)
	if shown := asked(first, "show user sessions"); strings.Count(shown, " 127.0.0.1 ") != 2 {
		t.Errorf("after a no:\n%s", shown)
	}
	s.As("user222").Input("true\n").Must("at", "now + 1 hour")
	admin.Send("disconnect user user222\n")
	admin.Answer("Disconnect all sessions of 'user222'? [y/N]: ", "y")
	admin.Expect("\r\n2 sessions of 'user222' ended\r\n1 at job in /var/spool/cron/atjobs still runs\r\n", machine.Patience)
	first.Ended(machine.Patience)
	second.Ended(machine.Patience)
	if shown := asked(admin, "show user activity from 1h rows 1 user222"); strings.Count(shown, " user222 ") != 1 ||
		!strings.Contains(shown, " disconnect ") || !strings.Contains(shown, "2 sessions ended") {
		t.Errorf("the latest deed on user222 is shown as\n%s", shown)
	}
	s.resizes()
	s.survives(admin)
}

// resizes: a line that is being typed stays complete while the window becomes narrower and wider,
// in a terminal that is not our own (tmux).
func (s *stage) resizes() {
	s.t.Helper()
	tmux := func(args ...string) string {
		return s.As("user222").Must(append([]string{"tmux", "-L", "resized"}, args...)...)
	}
	shows := func(want string) {
		s.t.Helper()
		s.eventually("the window ends with "+want, machine.Patience, func() bool { return strings.HasSuffix("\n"+strings.TrimSpace(tmux("capture-pane", "-p")), want) })
	}
	const prompt, line = "user222@node1.conductor> ", "show user activity from 1h rows 5 user222"
	tmux("new-session", "-d", "-x", "80", "-y", "10", "env", "pcli")
	shows(strings.TrimSpace(prompt))
	tmux("send-keys", "-l", line)
	shows("\n" + prompt + line)
	tmux("resize-window", "-x", "40", "-y", "10")
	folded := "\n" + (prompt + line)[:40] + "\n" + (prompt + line)[40:]
	shows(folded)
	tmux("send-keys", "-l", " ")
	tmux("send-keys", "BSpace")
	shows(folded)
	tmux("resize-window", "-x", "100", "-y", "10")
	shows("\n" + prompt + line)
	tmux("kill-server")
}

// asked returns the output of a command, up to the next prompt.
func asked(d *machine.Dialogue, command string) string {
	d.Send(command + "\n")
	d.Expect(command+"\r\n", machine.Patience)
	d.Expect("@node1.conductor", machine.Patience)
	shown := d.Transcript()
	return shown[strings.LastIndex(shown, command+"\r\n")+len(command+"\r\n"):]
}

// survives: pcli names the processes that it cannot end to the person who tries.
func (s *stage) survives(admin *machine.Dialogue) {
	s.t.Helper()
	s.AddUser("guest", oldPassword)
	s.WriteFile("/etc/sudoers.d/guest", "guest ALL=(ALL) NOPASSWD: ALL\n", 0o440)
	s.WriteFile("/usr/local/bin/undying", undying, 0o755)
	guest := s.logIn("guest", oldPassword)
	guest.Send("sudo undying\n")
	s.WaitFor("what cannot be ended", machine.Patience, func() bool { return s.Run("pgrep", "-xf", "sleep 4716").Code == 0 })

	admin.Send("disconnect user force user222\n")
	admin.Expect("\r\n0 sessions of 'user222' ended\r\n", machine.Patience)
	admin.Expect(" unshare ", machine.Patience)
	admin.Expect("% Error: 1 session of 'user222' did not end\r\n", machine.Patience)

	d := s.SSH("user222", oldPassword)
	d.Expect("> ", machine.Patience)
	setPassword(d, oldPassword, newPassword)
	d.Expect("Password updated successfully\r\nstill open: session p", machine.Patience)
	d.Expect(" (unshare)\r\n", machine.Patience)
	d.Ended(machine.Patience)
	s.same("user222")
	s.Must("pkill", "-KILL", "-xf", "sleep 4717")
}

// undying makes a process of user222's that no signal ends. It is the first process of a PID
// namespace, and its exit waits for another process there, whose parent, outside the namespace,
// does not collect it (pid_namespaces(7)).
const undying = `#!/bin/sh
unshare --pid --fork setpriv --reuid=user222 --clear-groups sleep 4715 &
until first=$(pgrep -U user222 -f 'sleep 4715'); do :; done
exec nsenter --target "$first" --pid --no-fork sh -c 'sleep 4716 & exec sleep 4717'
`
