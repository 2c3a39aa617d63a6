package packages

import (
	"regexp"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const rootPassword = "Konsole-Gneis-77"

// people are the accounts on a machine where ssh and login ask for second factors: root at the console; guest, whom
// no application manages; admin; user222, who has a second factor; and newcomer, whose shell is pcli.
type people struct{ password, recovery string } // user222's

var setupKey, recoveryCode = regexp.MustCompile(`Setup key: ([A-Z2-7 ]+)`), regexp.MustCompile(`\b[a-z]{6}-[a-z]{6}-[a-z]{6}\b`)

// settle wires a machine, with ssh and login asking for second factors.
func settle(t *testing.T, m *machine.T) people {
	t.Helper()
	m.Configure()
	m.MustShell(`printf '\n[second_factor]\nservices = ["sshd", "login"]\n' >> /etc/shadowsync/shadowsync.toml && shadowsync setup --first os
		useradd --create-home --shell /usr/bin/pcli newcomer
		printf 'root:` + rootPassword + `\nnewcomer:` + machine.OldPassword + `\n' | chpasswd`)
	m.WriteFile("/root/askpass", "#!/bin/sh\ncase \"$1\" in *code*) echo \"$CODE\"; echo asked >> /root/asked ;; *) echo \"$PASSWORD\" ;; esac\n", 0o700)
	return people{password: machine.OldPassword, recovery: enrol(t, m, "user222")}
}

// enrol gives an account a second factor, and returns one of its recovery codes.
func enrol(t *testing.T, m *machine.T, account string) string {
	t.Helper()
	d := m.Terminal("shadowsync", "user", "enrol", "2fa", account)
	d.Expect("Code that the app shows now:", machine.Patience)
	shown := setupKey.FindStringSubmatch(d.Transcript())
	if shown == nil {
		t.Fatalf("no setup key: %s", d)
	}
	secret, err := totp.ParseSetupKey([]byte(shown[1]))
	if err != nil {
		t.Fatalf("%v: %s", err, d)
	}
	d.Send(string(totp.Code(secret, totp.StepAt(time.Now()))) + "\n")
	if status := d.Ended(machine.Patience); status != 0 {
		t.Fatalf("status %d: %s", status, d)
	}
	return recoveryCode.FindString(d.Transcript())
}

// getIn fails unless everybody can change a password, log in and become somebody else, with the second factor that
// they have.
func (p people) getIn(t *testing.T, m *machine.T, when string) {
	t.Helper()
	works(t, m, when, "Trubador-Gneis-83")
	console(t, m, when)
	if said := p.comes(m, p.recovery); said.Code != 0 {
		t.Errorf("%s: user222 cannot log in with a password and a code: %s", when, said)
	}
	if said := m.Shell(`test -x "$(getent passwd newcomer | cut -d: -f7)"`); said.Code != 0 {
		t.Errorf("%s: newcomer has a login shell that is not there: %s", when, m.Must("getent", "passwd", "newcomer"))
	}
}

// comes has user222 log in over ssh.
func (p people) comes(m *machine.T, code string) machine.Result {
	return m.Env("SSH_ASKPASS=/root/askpass").Env("SSH_ASKPASS_REQUIRE=force").Env("PASSWORD="+p.password).Env("CODE="+code).Run(
		"ssh", "-F", "none", "-l", "user222", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "PreferredAuthentications=keyboard-interactive,password", "-o", "NumberOfPasswordPrompts=1", "127.0.0.1", "true")
}

// asked reports whether ssh has asked user222 for a code.
func asked(m *machine.T) bool { return m.Run("test", "-s", "/root/asked").Code == 0 }

// console fails unless root can log in at the console.
func console(t *testing.T, m *machine.T, when string) {
	t.Helper()
	d := m.Terminal("setsid", "--wait", "--ctty", "login", "root")
	d.Answer("assword: ", rootPassword)
	d.Expect("root@node1:", machine.Patience) // what is typed before the prompt is lost
	d.Send("exit\n")
	d.Ended(machine.Patience)
}
