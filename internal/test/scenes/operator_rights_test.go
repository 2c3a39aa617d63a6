package scenes

import (
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// noSudo: no account that an administrator creates may become root, although sudo's rules name
// the role's group through an alias, or an account that does not exist yet.
func (s *stage) noSudo(d *machine.Dialogue) {
	s.t.Helper()
	before := s.ReadFile("/etc/group")
	s.WriteFile("/etc/sudoers.d/operators", "User_Alias CREW = %operators\nCREW ALL=(ALL) ALL\nheir ALL=(ALL) /usr/bin/true\n", 0o440)
	createAs(d, "mighty", newPassword, "admin")
	d.Expect("the rules of sudo let mighty, in the group operators, run commands", machine.Patience)
	d.Send("create user heir\n")
	d.Expect("heir is named in /etc/sudoers.d/operators: only root may create it", machine.Patience)
	d.Answer("# ", "edit user jdeveloper")
	d.Answer("(user[name=jdeveloper])# ", "role admin")
	d.Expect("the rules of sudo let jdeveloper, in the group operators, run commands", machine.Patience)
	d.Answer("# ", "exit")
	for _, name := range []string{"mighty", "heir"} {
		if s.Run("id", name).Code == 0 {
			s.t.Errorf("the account %s is left", name)
		}
	}
	if after := s.ReadFile("/etc/group"); after != before {
		s.t.Errorf("the groups are not as they were:\n%s", after)
	}
	if s.Run("sudo", "-l", "-U", "admin").Code != 0 || !strings.Contains(s.Must("sudo", "-l", "-U", "admin"), "(ALL) ALL") {
		s.t.Error("sudo does not read the rules, and nothing was proven")
	}
	s.Must("rm", "/etc/sudoers.d/operators")
}

// leavesTraces gives two accounts programs that run without a login: cron and at jobs, and lingering.
func (s *stage) leavesTraces(account, other string) {
	s.t.Helper()
	for _, name := range []string{account, other} {
		s.MustShell("echo '* * * * * true' | crontab -u " + name + " - && loginctl enable-linger " + name +
			" && su -s /bin/sh " + name + " -c 'cd / && echo true | at now + 1 day'")
	}
}

// traces lists the accounts with such programs. An at job's name may look like a uid.
const traces = "cd / && ls /var/spool/cron/crontabs /var/lib/systemd/linger && stat --format=' %u %g ' /var/spool/cron/atjobs /var/spool/cron/atjobs/*"

// leftTraces asserts that the account's traces are gone, and the other's are not.
func (s *stage) leftTraces(account, uid, other string) {
	s.t.Helper()
	left := s.MustShell(traces)
	if strings.Contains(left, account) || strings.Contains(left, uid) {
		s.t.Errorf("%s, uid %s, left something that another would inherit:\n%s", account, uid, left)
	}
	// logind keeps a user for ten seconds after the last session (logind.conf(5), UserStopDelaySec=).
	s.eventually("logind has forgotten "+account, machine.Patience, func() bool {
		users := s.Run("loginctl", "list-users", "--no-legend") // fails while a user is being removed
		return users.Code == 0 && !strings.Contains(users.Stdout, account) && s.Run("test", "-e", "/run/user/"+uid).Code != 0
	})
	id := strings.TrimSpace(s.Must("id", "-u", other))
	if strings.Count(left, other) < 2 || !strings.Contains(left, " "+id+" ") {
		s.t.Errorf("%s, uid %s, lost something:\n%s", other, id, left)
	}
	s.MustShell("crontab -r -u " + other + " && loginctl disable-linger " + other)
}
