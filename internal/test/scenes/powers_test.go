package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// power is a way in which an account can become root.
type power struct{ name, give, take, says string }

var powers = []power{
	{
		"a rule by name, in a file that another includes", "mkdir -p /opt/rules && echo 'user222 ALL=(root) /usr/bin/id' > /opt/rules/one && echo '@includedir /opt/rules' > /etc/sudoers.d/more",
		"rm -r /opt/rules /etc/sudoers.d/more", "sudo's rules let it run commands",
	},
	{
		"a rule by uid", `echo "#$(id -u user222) ALL=(daemon) NOPASSWD: /usr/bin/id" > /etc/sudoers.d/uid`,
		"rm /etc/sudoers.d/uid", "sudo's rules let it run commands",
	},
	{
		"an alias of a group", "groupadd crew && usermod -aG crew user222 && printf 'User_Alias CREW = %%crew\\nCREW ALL=(ALL) ALL\\n' > /etc/sudoers.d/crew",
		"rm /etc/sudoers.d/crew && groupdel crew", "sudo's rules let it run commands",
	},
	{"disk", "usermod -aG disk user222", "gpasswd -d user222 disk", "member of disk"},
	{"a primary group", "usermod -g shadow user222", "usermod -g user222 user222", "member of shadow"},
	{"a group that comes later", "groupadd docker && usermod -aG docker user222", "groupdel docker", "member of docker"},
	{"an administrator of a group", "gpasswd -A user222 adm", "gpasswd -A '' adm", "member of adm"},
	{
		"another name of the uid", `useradd -o -u "$(id -u user222)" -G kvm second || { groupadd kvm; useradd -o -u "$(id -u user222)" -G kvm second; }`,
		"userdel -f second", "same uid as second",
	},
	{"a sudo that cannot be asked", "chmod 0666 /etc/sudoers", "chmod 0440 /etc/sudoers", "cannot tell whether it is powerful"},
}

// TestPowers: neither an operator nor a store can change an account that can become root by a
// second step, and no store can change an administrator.
func TestPowers(t *testing.T) {
	t.Parallel()
	s, d := administered(t)
	s.passwd("user222", oldPassword)
	for _, p := range powers {
		s.sub(p.name, func(s *stage) { s.powerful(d, p) })
	}
	s.sub("newcomers", func(s *stage) { s.newcomers(d) })
	s.sub("two applications", (*stage).scoped)
	s.sub("an administrator", func(s *stage) {
		before := s.ShadowHash("admin")
		s.AskAppliance("set", "admin", s.hashed("Smuggled-in-3"))
		s.eventually("the store's change is refused", machine.Patience, func() bool { return s.state("admin").State == "conflict" })
		if a := s.state("admin"); a.Reason == nil || !strings.Contains(*a.Reason, "an administrator of pcli, member of operators") {
			s.t.Errorf("status says %s", *a.Reason)
		}
		if s.ShadowHash("admin") != before {
			s.t.Error("the OS side was changed")
		}
		s.exits(0, "shadowsync", "sync", "admin", "--prefer", "os")
	})
	s.sub("nobody", func(s *stage) { // the powers are taken away: a store's change is applied again
		s.AskAppliance("set", "user222", s.hashed("Clicked-in-the-app-3"))
		s.becomes("user222", "Clicked-in-the-app-3")
	})
}

// powerful gives user222 a power; then an operator and the store try to change the account.
func (s *stage) powerful(d *machine.Dialogue, p power) {
	s.t.Helper()
	s.MustShell(p.give)
	before := s.ShadowHash("user222")
	for _, command := range []string{"lock user user222", "edit user user222 full-name Eve"} {
		d.Send(command + "\n")
		d.Expect("user222 is protected ("+p.says, machine.Patience)
	}
	s.AskAppliance("set", "user222", s.hashed("Smuggled-in-2"))
	s.eventually("the store's change is refused", machine.Patience, func() bool {
		a := s.state("user222")
		return a.State == "conflict" && a.Reason != nil && strings.Contains(*a.Reason, p.says)
	})
	if shown := s.Must("shadowsync", "user", "show", "user222"); !strings.Contains(shown, p.says) {
		s.t.Errorf("user show does not tell:\n%s", shown)
	}
	s.exits(0, "shadowsync", "sync", "user222", "--prefer", "os")
	if s.ShadowHash("user222") != before {
		s.t.Error("the OS side was changed")
	}
	s.MustShell(p.take)
	s.eventually("both sides are in sync again", machine.Patience, func() bool { return s.state("user222").State == "in-sync" })
}

// newcomers: an account that an operator creates gets no rights by its name, and nothing of an
// earlier account with the same name or uid. A refused account leaves nothing and removes nothing.
func (s *stage) newcomers(d *machine.Dialogue) {
	s.t.Helper()
	s.MustShell("mkdir -p /etc/polkit-1/rules.d /home/heiress/.ssh && echo 'ssh-ed25519 AAAA somebody' > /home/heiress/.ssh/authorized_keys && ln -s /nowhere /home/dangler" +
		" && echo '* * * * * true' > /var/spool/cron/crontabs/cronus && touch /var/mail/mailer" +
		` && echo 'polkit.addRule(function(a, s) { if (s.isInGroup("netops")) return "yes"; });' > /etc/polkit-1/rules.d/50-netops.rules`)
	before := s.ReadFile("/etc/passwd") + s.ReadFile("/etc/group") + s.ReadFile("/etc/shadow") + s.ReadFile("/etc/subuid")
	for name, says := range map[string]string{
		"docker": "of the system", "netops": "50-netops.rules: only root may create it", "heiress": "/home/heiress is there already",
		"dangler": "/home/dangler is there already", "cronus": "crontabs/cronus", "mailer": "/var/mail/mailer", "adm": "of the system",
	} {
		d.Send("create user " + name + "\n") // pcli refuses before it asks anything
		d.Expect(says, machine.Patience)
	}
	if after := s.ReadFile("/etc/passwd") + s.ReadFile("/etc/group") + s.ReadFile("/etc/shadow") + s.ReadFile("/etc/subuid"); after != before {
		s.t.Errorf("an account or a group is left:\n%s", after)
	}
	s.MustShell("test -s /home/heiress/.ssh/authorized_keys && test -L /home/dangler && test -s /var/spool/cron/crontabs/cronus && test -e /var/mail/mailer")
	s.takesHome(d)
	// The next uid belonged to a deleted account that left a file; the new account must not own it.
	s.MustShell("useradd -m last && id -u last > /root/last && touch /tmp/secret && chown last /tmp/secret && userdel -r last")
	create(d, "latecomer", newPassword)
	d.Expect("successfully created", machine.Patience)
	if owner := strings.TrimSpace(s.MustShell("stat -c %U /tmp/secret")); owner != "UNKNOWN" {
		s.t.Errorf("%s owns what another account of its uid has left", owner)
	}
	s.lets("latecomer", newPassword, oldPassword)
}

// takesHome: on request a new account takes over the home of a deleted one, and no key in it opens
// the new account. If the account cannot be created, because its password is refused, the home
// stays as it was.
func (s *stage) takesHome(d *machine.Dialogue) {
	s.t.Helper()
	take := func(name, password string) {
		d.Send("create user " + name + " take-home\n")
		for _, answer := range [][2]string{{"Full Name: ", ""}, {"Password: ", password}, {"Confirm: ", password}, {"Role", ""}, {"Enabled", ""}} {
			d.Answer(answer[0], answer[1])
		}
	}
	take("heiress", newPassword)
	d.Expect("/home/heiress belongs to root", machine.Patience)
	s.MustShell("chown -R 7777:7777 /home/heiress")
	before := s.MustShell("ls -laRn /home/heiress")
	take("heiress", "abc")
	d.Expect("BAD PASSWORD", machine.Patience)
	d.Send("\x03")
	if after := s.MustShell("ls -laRn /home/heiress"); after != before || s.Run("id", "heiress").Code == 0 {
		s.t.Errorf("after a refused password the home is\n%s, was\n%s", after, before)
	}
	take("heiress", newPassword)
	d.Expect("what was in /home/heiress, of uid 7777, is in /home/heiress/home-before now", machine.Patience)
	s.lets("heiress", newPassword, oldPassword)
	if owners := s.MustShell("cd /home/heiress && test ! -e .ssh && stat -c %U . home-before home-before/.ssh/authorized_keys"); owners != "heiress\nheiress\nheiress\n" {
		s.t.Errorf("owners are %q", owners)
	}
}

// scoped: an administrator whose account one application manages can neither change nor see the
// accounts of another application, unless the configuration of that one names the administrator's
// group.
func (s *stage) scoped() {
	s.t.Helper()
	s.MustShell("useradd -m other && cp /etc/shadowsync/shadowsync.toml /root/before.toml")
	s.MustShell(`printf '[Service]\nExecStart=/usr/bin/sleep infinity\n' > /etc/systemd/system/second.service && systemctl daemon-reload`)
	s.MustShell(`printf '\n[[application]]\nname = "second"\nunit = "second.service"\naccounts = ["other"]\n[application.store]\ndriver = "sqlite"\npath = "/var/lib/shadowsync/second.db"\n' >> /etc/shadowsync/shadowsync.toml`)
	s.MustShell("shadowsync setup --first os && systemctl restart shadowsync.service")
	ask := func(command string) string {
		r := s.As("admin").Run("pcli", "-c", command)
		return r.Stdout + r.Stderr
	}
	if seen := ask("show user all"); strings.Contains(seen, "other") || !strings.Contains(seen, "user222") {
		s.t.Errorf("an administrator of the first application sees:\n%s", seen)
	}
	for _, command := range []string{"lock user other", "unlock user other", "expire password other", "disconnect user force other", "delete user force other", "edit user other full-name Eve"} {
		if said := ask(command); !strings.Contains(said, "no such account: other") {
			s.t.Errorf("%s: %s", command, said)
		}
	}
	s.MustShell(`sed -i 's/^accounts = \["other"\]/&\nadmins = ["operators"]/' /etc/shadowsync/shadowsync.toml && systemctl restart shadowsync.service`)
	if said := ask("lock user other"); !strings.Contains(said, "successfully locked") {
		s.t.Errorf("an administrator of both: %s", said)
	}
	s.MustShell("cp /root/before.toml /etc/shadowsync/shadowsync.toml && shadowsync setup && systemctl restart shadowsync.service && userdel -r other")
}
