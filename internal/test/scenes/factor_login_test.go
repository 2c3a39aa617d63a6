package scenes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// wireFactor has setup wire sshd and login, and prepares a person at ssh.
const wireFactor = `set -e
printf '\n[second_factor]\nservices = ["sshd", "login"]\n' >>/etc/shadowsync/shadowsync.toml
shadowsync setup
cat >/root/askpass <<'END'
#!/bin/sh
echo "$1" >>/root/asked
case "$1" in *code*) echo "$CODE" ;; *) echo "$PASSWORD" ;; esac
END
chmod 700 /root/askpass
test -e /root/key || ssh-keygen -q -t ed25519 -N '' -f /root/key
for user in root admin user222; do
  home=$(getent passwd $user | cut -d: -f6)
  install -d -m 700 -o $user $home/.ssh
  install -m 600 -o $user /root/key.pub $home/.ssh/authorized_keys
done`

// How somebody logs in.
const (
	byDialogue = "keyboard-interactive"
	byPassword = "password"
	byKey      = "publickey"
	byKeyThen  = "publickey,keyboard-interactive"
)

// comes logs in over ssh by the given methods, and returns how that ended and what was asked. If a key
// is among the methods, it is the right one.
func (s *stage) comes(methods, user, password, code string) (r machine.Result, asked string) {
	s.t.Helper()
	s.WriteFile("/root/asked", "", 0o600)
	args := []string{
		"ssh", "-F", "none", "-l", user, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "PreferredAuthentications=" + methods, "-o", "NumberOfPasswordPrompts=1", "-o", "ConnectTimeout=10",
	}
	if strings.Contains(methods, byKey) {
		args = append(args, "-i", "/root/key")
	}
	if methods == byKey {
		args = append(args, "-o", "BatchMode=yes")
	}
	r = s.Env("SSH_ASKPASS=/root/askpass").Env("SSH_ASKPASS_REQUIRE=force").Env("PASSWORD=" + password).Env("CODE=" + code).
		Run(slices.Concat(args, []string{"127.0.0.1", "echo in-$((40+2))"})...)
	if in := strings.Contains(r.Stdout, "in-42"); in != (r.Code == 0) {
		s.t.Errorf("ssh ends with %d: %s", r.Code, r)
	}
	return r, s.ReadFile("/root/asked")
}

// calls logs in over ssh at a terminal, up to what is asked after the password.
func (s *stage) calls(user string, command ...string) *machine.Dialogue {
	s.t.Helper()
	if len(command) == 0 {
		command = []string{"echo in-$((40+2))"}
	}
	d := s.Env("LC_ALL=C.UTF-8").Terminal(append([]string{
		"ssh", "-F", "none", "-t", "-l", user, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "PreferredAuthentications=keyboard-interactive", "-o", "NumberOfPasswordPrompts=1", "127.0.0.1",
	}, command...)...)
	d.Answer("assword: ", machine.OldPassword)
	return d
}

// admits asserts that a login succeeds, and that a code was asked for or not.
func (s *stage) admits(what, methods, user, password, code string) {
	s.t.Helper()
	r, asked := s.comes(methods, user, password, code)
	if r.Code != 0 || strings.Contains(asked, "Verification code") != (code != "") {
		s.t.Errorf("%s does not log in, asked for %q: %s\n%s", what, asked, r, s.Journal("-t", "sshd", "-n", "20"))
	}
}

// keepsOut asserts that a login fails, and that what ssh shows contains a text.
func (s *stage) keepsOut(what, methods, user, password, code, text string) (asked string) {
	s.t.Helper()
	r, asked := s.comes(methods, user, password, code)
	if r.Code == 0 || !strings.Contains(r.Stderr, text) {
		s.t.Errorf("%s: it shows no %q, asked for %q: %s\n%s", what, text, asked, r, s.Journal("-t", "sshd", "-n", "20"))
	}
	return asked
}

// TestFactorAtLogin: whoever has a second factor shows a code at ssh after the password or the key, and
// nobody else notices anything.
func TestFactorAtLogin(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.MustShell(wireFactor)
	unasked := func(s *stage) {
		s.t.Helper()
		for _, methods := range []string{byDialogue, byPassword, byKey} {
			s.admits("somebody without a second factor, by "+methods, methods, "user222", machine.OldPassword, "")
		}
	}
	unasked(s)
	a := s.enrols("admin")
	s.sub("unasked", unasked)
	s.sub("code", func(s *stage) { s.codeAtLogin(a) })
	s.sub("no code", func(s *stage) { s.noCodeAtLogin(a) })
	s.sub("key and code", func(s *stage) { s.keyAndCode(a) })
	s.sub("same uid", func(s *stage) { s.sameUID(a) })
	s.sub("at once", func(s *stage) { s.manyLoginsAtOnce(a) })
	s.sub("guesses", func(s *stage) { s.guessesAtLogin(a) })
	s.sub("renamed", func(s *stage) { s.renamed(a) })
	s.sub("nowhere", func(s *stage) {
		shown := append(a.shown, s.enrols("user222").shown...)
		s.Must("shadowsync", "user", "reset", "2fa", "local", "user222")
		s.keepsNone(append(shown, s.enrols("user222").shown...))
	})
}

// TestFactorAtLoginUnderFaults: without the broker, the list or the module, nobody gets in with one
// factor, and root at the console does.
func TestFactorAtLoginUnderFaults(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.MustShell(wireFactor)
	a := s.enrols("admin")
	s.sub("broker", func(s *stage) { s.brokerAway(a) })
	s.sub("list", func(s *stage) { s.listAway(a) })
	s.sub("console", func(s *stage) { s.console(a) })
	s.sub("su", func(s *stage) {
		if r := s.As("user222").Input(machine.OldPassword+"\n").Run("su", "admin", "-c", "echo in-42"); r.Code != 0 || !strings.Contains(r.Stdout, "in-42") {
			s.t.Errorf("a service that is not named: %s", r)
		}
	})
	s.sub("restored", func(s *stage) {
		const phrase = "Restored-velvet-harbour-72\n"
		s.Input(phrase).Must("shadowsync", "backup", "/root/older", "--stdin")
		used := a.next()
		s.admits("a right code", byDialogue, "admin", machine.OldPassword, used)
		s.Input(phrase).Must("shadowsync", "restore", "/root/older", "--stdin")
		s.keepsOut("a code that was used since the backup", byDialogue, "admin", machine.OldPassword, used, "Permission denied")
		s.admits("afterwards", byDialogue, "admin", machine.OldPassword, a.next())
	})
	s.sub("disk", func(s *stage) { s.diskAway(a) })
	s.sub("reset", func(s *stage) {
		s.Must("shadowsync", "user", "reset", "2fa", "local", "admin")
		if asked := s.keepsOut("the password alone after a reset", byDialogue, "admin", machine.OldPassword, "", "Permission denied"); !strings.Contains(asked, "second factor was reset") {
			s.t.Errorf("after a reset it asks %q", asked)
		}
		s.keepsOut("the key alone after a reset", byKey, "admin", "", "", "second factor was reset")
	})
}

// codeAtLogin: a code is taken once, and each other answer is refused.
func (s *stage) codeAtLogin(a *authenticator) {
	code := a.code(30)
	s.admits("the password and a code", byDialogue, "admin", machine.OldPassword, code)
	s.keepsOut("a code again", byDialogue, "admin", machine.OldPassword, code, "shadowsync: the code was used already")
	s.admits("a recovery code", byDialogue, "admin", machine.OldPassword, a.next())
	s.keepsOut("a wrong code", byDialogue, "admin", machine.OldPassword, "000000", "shadowsync: the code is not right")
	s.keepsOut("no code", byDialogue, "admin", machine.OldPassword, "", "Permission denied")
	before := len(s.audit("admin"))
	if asked := s.keepsOut("a wrong password", byDialogue, "admin", "wrong", a.code(30), "Permission denied"); strings.Contains(asked, askForCode) {
		s.t.Error("a code is asked for after a wrong password")
	}
	s.keepsOut("the password instead of a code", byDialogue, "admin", machine.OldPassword, machine.OldPassword, "Permission denied")
	if after := len(s.audit("admin")); after != before {
		s.t.Errorf("what was no code is counted: %d records, then %d", before, after)
	}
	events := s.audit("admin")
	if last := events[len(events)-1]; !strings.HasPrefix(last.Action, "code-") || last.Origin.Program != "sshd" || last.Origin.SeenBy != "pam" {
		s.t.Errorf("the audit says %+v", last)
	}
}

// noCodeAtLogin: the method password and a key alone are refused at once, and say why.
func (s *stage) noCodeAtLogin(a *authenticator) {
	if asked := s.keepsOut("the method password", byPassword, "admin", machine.OldPassword, a.code(30), "Permission denied"); strings.Contains(asked, askForCode) {
		s.t.Error("the method password asks for a code")
	}
	s.keepsOut("a key alone", byKey, "admin", "", "", "shadowsync: a key alone is not enough for this account")
	s.WaitFor("the journal names the method", machine.Patience, func() bool {
		said := s.Journal("-t", "sshd")
		return strings.Contains(said, "account admin: the password came instead of a code") && strings.Contains(said, "account admin: refused: this login showed no code")
	})
}

// keyAndCode: with the setting that docs name, a key and a code open the account without its password.
func (s *stage) keyAndCode(a *authenticator) {
	s.MustShell(`groupadd coders; usermod -aG coders admin
printf 'Match Group coders\n  AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam\n' >>/etc/ssh/sshd_config; systemctl restart ssh`)
	defer s.MustShell(`sed -i '/^Match Group coders/,$d' /etc/ssh/sshd_config; systemctl restart ssh`)
	r, asked := s.comes(byKeyThen, "admin", "", a.next())
	if r.Code != 0 || strings.Contains(asked, "assword") || !strings.Contains(asked, askForCode) {
		s.t.Errorf("a key and a code, asked for %q: %s", asked, r)
	}
	s.keepsOut("a key and a wrong code", byKeyThen, "admin", "", "000000", "the code is not right")
	s.keepsOut("a key and nothing", byKey, "admin", "", "", "Permission denied")
	s.admits("the password and a code", byDialogue, "admin", machine.OldPassword, a.next())
}

// sameUID: another name of the same uid does not skip the code.
func (s *stage) sameUID(a *authenticator) {
	s.MustShell(fmt.Sprintf("useradd -o -u $(id -u admin) -g $(id -g admin) -M -d /home/admin -s /bin/bash twin; printf 'twin:%s\n' | chpasswd", machine.OldPassword))
	defer s.Must("userdel", "-f", "twin")
	s.keepsOut("another name", byDialogue, "twin", machine.OldPassword, "", "Permission denied")
	s.admits("another name with a code", byDialogue, "twin", machine.OldPassword, a.next())
}

// renamed: usermod -l takes nobody's second factor away, whether the broker answers or not.
func (s *stage) renamed(a *authenticator) {
	rename := func(from, to string) {
		s.eventually("usermod renames "+from, machine.Patience, func() bool { // it refuses while a process of the account runs
			return s.Run("sh", "-c", fmt.Sprintf("loginctl kill-user --signal=KILL %s; usermod -l %s %s", from, to, from)).Code == 0
		})
	}
	rename("admin", "anna")
	defer rename("anna", "admin")
	s.keepsOut("the password alone", byDialogue, "anna", machine.OldPassword, "", "Permission denied")
	s.keepsOut("the key alone", byKey, "anna", "", "", "a key alone is not enough")
	s.admits("a code", byDialogue, "anna", machine.OldPassword, a.next())
	pid := "$(systemctl show -P MainPID shadowsync.service)"
	s.MustShell("kill -STOP " + pid)
	defer s.MustShell("kill -CONT " + pid)
	s.keepsOut("without the broker", byDialogue, "anna", machine.OldPassword, "", "second factors cannot be checked now")
}

// manyLoginsAtOnce: of two hundred logins with one code, one succeeds.
func (s *stage) manyLoginsAtOnce(a *authenticator) {
	const logins = 200
	s.MustShell(`echo 'MaxStartups 500' >/etc/ssh/sshd_config.d/00-many.conf; systemctl restart ssh`)
	defer s.MustShell(`rm /etc/ssh/sshd_config.d/00-many.conf; systemctl restart ssh`)
	out := s.Within(6 * machine.Patience).Env("CODE=" + a.next()).Env("PASSWORD=" + machine.OldPassword).MustShell(fmt.Sprintf(`
export SSH_ASKPASS=/root/askpass SSH_ASKPASS_REQUIRE=force
for i in $(seq %d); do
  ( ssh -F none -l admin -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PreferredAuthentications=keyboard-interactive \
    -o NumberOfPasswordPrompts=1 127.0.0.1 'echo in-$((40+2))' 2>/dev/null; echo $? ) &
done; wait`, logins))
	if in, ended := strings.Count(out, "in-42"), strings.Count(out, "\n"); in != 1 || ended < logins {
		s.t.Errorf("%d of %d logins with one code succeed", in, ended)
	}
	next := a.next() // a used one is a wrong one, and slows down the next from this address
	s.eventually("the next code logs in", machine.Patience, func() bool {
		r, _ := s.comes(byDialogue, "admin", machine.OldPassword, next)
		return r.Code == 0
	})
}

// guessesAtLogin: whoever knows the password and guesses from ten addresses is slowed down at each, and does not
// keep the rightful user out.
func (s *stage) guessesAtLogin(a *authenticator) {
	s.MustShell(`echo 'MaxStartups 500' >/etc/ssh/sshd_config.d/00-many.conf; systemctl restart ssh; for i in $(seq 10); do ip address add 192.0.2.$i/32 dev lo; done`)
	defer s.MustShell(`rm /etc/ssh/sshd_config.d/00-many.conf; systemctl restart ssh; for i in $(seq 10); do ip address del 192.0.2.$i/32 dev lo; done`)
	out := s.Within(6 * machine.Patience).Env("CODE=000000").Env("PASSWORD=" + machine.OldPassword).MustShell(`
export SSH_ASKPASS=/root/askpass SSH_ASKPASS_REQUIRE=force
for i in $(seq 80); do
  ( ssh -F none -l admin -b 192.0.2.$((i % 10 + 1)) -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PreferredAuthentications=keyboard-interactive \
    -o NumberOfPasswordPrompts=1 192.0.2.$((i % 10 + 1)) 'echo in-$((40+2))' 2>&1 ) &
done; wait`)
	if looked, slowed := strings.Count(out, "the code is not right"), strings.Count(out, "too many wrong codes; try again in"); strings.Contains(out, "in-42") || looked > 50 || slowed < 30 || looked+slowed != 80 {
		s.t.Errorf("%d guesses were looked at, %d slowed down: %s", looked, slowed, out)
	}
	s.admits("the rightful user", byDialogue, "admin", machine.OldPassword, a.next())
}

// brokerAway: while the broker is down, stopped or restarting, whoever has a second factor is refused,
// and the others log in.
func (s *stage) brokerAway(a *authenticator) {
	d := s.calls("admin")
	d.Expect(askForCode, machine.Patience)
	if !d.Silent() {
		s.t.Error("the code is echoed")
	}
	s.Must("systemctl", "restart", "shadowsync.service")
	d.Send(a.next() + "\n")
	d.Expect("in-42", machine.Patience)
	d.Ended(machine.Patience)

	const cannot = "shadowsync: second factors cannot be checked now"
	for name, how := range map[string][2]string{
		"stopped":   {"systemctl mask --runtime --now shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket shadowsync.service", "systemctl unmask --runtime shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket shadowsync.service; systemctl start shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket shadowsync.service"},
		"suspended": {"kill -STOP $(systemctl show -P MainPID shadowsync.service)", "kill -CONT $(systemctl show -P MainPID shadowsync.service)"},
	} {
		s.sub(name, func(s *stage) {
			s.MustShell(how[0])
			defer s.MustShell(how[1])
			s.keepsOut("with the password", byDialogue, "admin", machine.OldPassword, "", cannot)
			s.keepsOut("with the key", byKey, "admin", "", "", cannot)
			s.admits("somebody without a second factor", byDialogue, "user222", machine.OldPassword, "")
			s.admits("root", byKey, "root", "", "")
		})
	}
	s.admits("afterwards", byDialogue, "admin", machine.OldPassword, a.next())
}

// diskAway: a code that cannot be recorded is not taken, on a full disk nor on a read-only one.
func (s *stage) diskAway(a *authenticator) {
	const folder = "/var/lib/shadowsync"
	s.MustShell(stopDaemon + "; cp -a " + folder + " /root/kept && mount -t tmpfs -o size=2m,mode=700 tmpfs " + folder + " && cp -a /root/kept/. " + folder + "/ && { " + runDaemon + "; }")
	for name, how := range map[string][2]string{
		"full":      {"dd if=/dev/zero of=" + folder + "/fill bs=1k; true", "rm " + folder + "/fill"},
		"read-only": {stopDaemon + " && mount -o remount,ro " + folder + " && { " + runDaemon + "; true; }", "mount -o remount,rw " + folder + "; " + runDaemon},
	} {
		s.sub(name, func(s *stage) {
			s.MustShell(how[0])
			code := a.next()
			s.keepsOut("a right code", byDialogue, "admin", machine.OldPassword, code, "cannot be checked now")
			s.admits("somebody without a second factor", byDialogue, "user222", machine.OldPassword, "")
			s.MustShell(how[1])
			s.admits("the same code afterwards", byDialogue, "admin", machine.OldPassword, code)
		})
	}
}

// listAway: without the list, the broker knows who needs a code, and writes the list again. Without
// both, only root gets in.
func (s *stage) listAway(a *authenticator) {
	const list = "/var/lib/shadowsync/enrolled"
	listed := fmt.Sprintf("admin\tlocal\tenrolled\t%s\n", strings.TrimSpace(s.Must("id", "-u", "admin")))
	for name, spoil := range map[string]string{"missing": "rm -f " + list, "open": "chmod 666 " + list, "torn": "printf admin >" + list} {
		s.sub(name, func(s *stage) {
			s.MustShell("systemctl restart shadowsync.service; " + spoil) // its start writes the list
			s.admits("a right code", byDialogue, "admin", machine.OldPassword, a.next())
			s.keepsOut("a key", byKey, "admin", "", "", "a key alone is not enough")
			s.admits("somebody without a second factor", byDialogue, "user222", machine.OldPassword, "")
			if text := s.ReadFile(list); name != "open" && text != listed {
				s.t.Errorf("the list is %q", text)
			}
			pid := "$(systemctl show -P MainPID shadowsync.service)"
			s.MustShell("kill -STOP " + pid + "; " + spoil)
			defer s.MustShell("kill -CONT " + pid + "; chmod 600 " + list + " || true")
			for user, methods := range map[string]string{"admin": byDialogue, "user222": byKey} {
				s.keepsOut(user, methods, user, machine.OldPassword, "", "second factors cannot be checked now")
			}
			s.admits("root", byKey, "root", "", "")
		})
	}
	s.Must("systemctl", "restart", "shadowsync.service")
	if text := s.ReadFile(list); text != listed {
		s.t.Errorf("after a restart of the broker the list is %q", text)
	}
}

// console: login asks for the code, too, but not root, who gets in even if the module is gone. Nobody
// else does then.
func (s *stage) console(a *authenticator) {
	s.MustShell(fmt.Sprintf("printf 'root:%s\n' | chpasswd", machine.OldPassword))
	login := func(user, code string) *machine.Dialogue {
		d := s.Terminal("setsid", "--wait", "--ctty", "login", user)
		d.Answer("assword: ", machine.OldPassword)
		if code != "" {
			d.Answer(askForCode, code)
		}
		return d
	}
	in := func(s *stage, user, code string) {
		s.t.Helper()
		d := login(user, code)
		d.Expect(user+"@node1:", machine.Patience) // what is typed before the prompt is lost
		d.Send("echo in-$((40+2))\n")
		d.Expect("in-42", machine.Patience)
		d.Send("exit\n")
		d.Ended(machine.Patience)
	}
	in(s, "admin", a.next())
	in(s, "root", "")
	s.MustShell("find / -xdev -name pam_shadowsync.so -exec mv {} {}.away \\;")
	defer s.MustShell("find / -xdev -name pam_shadowsync.so.away | while read so; do mv $so ${so%.away}; done")
	in(s, "root", "")
	login("user222", "").Expect("Login incorrect", machine.Patience)
	s.keepsOut("admin", byDialogue, "admin", machine.OldPassword, "", "Permission denied")
	s.keepsOut("user222", byKey, "user222", "", "", "")
}
