package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// What a login, a change of a password and dpkg's next run depend on, of all that our packages, their scripts and
// "shadowsync remove" touch: of two states of the disk in which these are the same, one is tried.
var (
	ofPackages = []string{
		"/etc/shells", "/etc/shadowsync", "/etc/ssh/sshd_config.d", "/etc/systemd/system",
		"/etc/pam.d/login", "/etc/pam.d/sshd", "/etc/pam.d/common-auth", "/etc/pam.d/common-account", "/etc/pam.d/common-password", "/etc/pam.d/common-session",
		"/var/lib/pam/auth", "/var/lib/pam/account", "/var/lib/pam/password", "/var/lib/pam/session",
		"/usr/share/pam-configs/shadowsync", "/usr/share/pam-configs/shadowsync-judge",
		"/usr/lib/systemd/system/shadowsync.service", "/usr/lib/systemd/system/shadowsync.socket",
		"/usr/lib/x86_64-linux-gnu/security/pam_shadowsync.so", "/usr/sbin/shadowsync", "/usr/bin/pcli",
		"/var/log/dpkg.log", // each line of it is a step by dpkg's own account
	}
	ofAccounts = []string{"/etc/passwd", "/etc/shadow", "/etc/passwd.lock", "/etc/shadow.lock"}
)

// question is what gate ends each of its messages with.
const question = "; go on? "

// gate is the program that holds dpkg at each step.
var gate = sync.OnceValues(func() (string, error) {
	program := filepath.Join(dist, "gate")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./gate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	return program + string(out), err
})

// atEachStep runs a command on a machine, and calls play while it is held at each step: whenever the watched files
// are as they have not been before. It returns how many steps there were.
func atEachStep(t *testing.T, m *machine.T, watched []string, command string, play func(number int, step string)) int {
	t.Helper()
	program, err := gate()
	if err != nil {
		t.Fatalf("cannot build the gate: %v: %s", err, program)
	}
	m.CopyIn(program, "/usr/local/bin/gate", 0o755)
	d := m.Terminal(slices.Concat([]string{"gate"}, watched, []string{"--"}, strings.Fields(command))...)
	for number := 1; ; number++ {
		d.Expect(question, machine.Patience)
		told := strings.Split(d.Transcript(), question)
		step := strings.TrimSpace(told[len(told)-2])
		if ended, is := strings.CutPrefix(step, "ended: "); is {
			if ended != "0" {
				t.Errorf("%s: status %s\n%s", command, ended, m.ReadFile("/run/gate.log"))
			}
			return number - 1
		}
		play(number, step)
		d.Send("\n")
	}
}

// killedAtEachStep runs a command on a machine, and cuts the power of a twin of it at each step. What must be so
// afterwards is tried on the twin once it has booted again.
func killedAtEachStep(t *testing.T, m *machine.T, command string, afterwards func(t *testing.T, twin *machine.T)) {
	t.Helper()
	const atOnce = 2
	room, all := make(chan struct{}, atOnce), sync.WaitGroup{}
	steps := atEachStep(t, m, slices.Concat(ofPackages, ofAccounts), command, func(number int, step string) {
		room <- struct{}{}
		copied := make(chan struct{})
		all.Go(func() {
			defer func() { <-room }()
			t.Run(strconv.Itoa(number), func(t *testing.T) {
				t.Log(step)
				twin := func() *machine.T { defer close(copied); return m.Twin(t) }()
				twin.PowerOn()
				afterwards(t, twin)
			})
		})
		<-copied
	})
	all.Wait()
	if steps < len(names) {
		t.Errorf("%s has only %d steps", command, steps)
	}
}
