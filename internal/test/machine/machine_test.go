package machine_test

import (
	"bufio"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// eachRelease runs a test on every release, each on its own machine.
func eachRelease(t *testing.T, test func(t *testing.T, m *machine.T)) {
	t.Helper()
	machine.Need(t)
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			test(t, machine.Boot(t, release))
		})
	}
}

func TestBootsARealSystem(t *testing.T) {
	t.Parallel()
	eachRelease(t, func(t *testing.T, m *machine.T) {
		if state := m.Run("systemctl", "is-system-running"); state.Stdout != "running\n" {
			t.Errorf("is-system-running: %s; %s", state, m.Shell("systemctl --failed").Stdout)
		}
		for _, unit := range []string{"ssh", "systemd-logind", "systemd-journald", "dbus"} {
			if state := m.Run("systemctl", "is-active", unit); state.Code != 0 {
				t.Errorf("%s: %s", unit, state)
			}
		}
		if off := m.Run("systemctl", "is-active", "cron", "atd"); off.Stdout != "inactive\ninactive\n" {
			t.Errorf("what starts jobs by the clock: %s", off)
		}
		if links := m.Must("ip", "-o", "link"); strings.Count(links, "\n") != 1 || !strings.Contains(links, " lo: ") {
			t.Errorf("links of a machine:\n%s", links)
		}
		if root := m.Must("cat", "/proc/1/comm", "/etc/hostname"); root != "systemd\nnode1\n" {
			t.Errorf("process 1 and host name: %q", root)
		}
	})
}

// TestDialContext: it reaches what listens on the machine's loopback.
func TestDialContext(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Bookworm)
	conn, err := m.DialContext(t.Context(), "tcp", "127.0.0.1:22")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "SSH-2.0-") {
		t.Errorf("sshd on the machine says %q, %v", line, err)
	}
	if _, err := m.DialContext(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		t.Error("connected where nobody listens")
	}
}

func TestLoginNeedsTheRightPassword(t *testing.T) {
	t.Parallel()
	eachRelease(t, func(t *testing.T, m *machine.T) {
		m.AddUser("admin", "right")
		if !m.Login("admin", "right") {
			t.Error("the right password was refused")
		}
		if m.Login("admin", "wrong") {
			t.Error("a wrong password opened a login")
		}
		m.Must("chage", "-d", "0", "admin")
		if m.Login("admin", "right") {
			t.Error("an expired password opened a login without a change")
		}
		m.Must("chage", "-d", "20000", "-E", "1", "admin")
		if m.Login("admin", "right") {
			t.Error("an expired account opened a login")
		}
	})
}

// A broken sshd must end the test and not count as a refused password.
func TestLoginToNoServerIsNoRefusal(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Bookworm)
	m.AddUser("admin", "right")
	m.Must("systemctl", "stop", "ssh.socket", "ssh.service")
	if opened, err := m.Machine.Login(t.Context(), "admin", "right"); err == nil {
		t.Errorf("login without sshd = %v, want an error", opened)
	}
}

func TestSessionIsLogindsAndEnds(t *testing.T) {
	t.Parallel()
	eachRelease(t, func(t *testing.T, m *machine.T) {
		m.AddUser("admin", "right")
		login := m.SSH("admin", "right")
		login.Expect("$ ", machine.Patience)
		login.Send("tty; cat /proc/self/loginuid\n")
		login.Expect("/dev/pts/", machine.Patience)
		login.Expect(strings.TrimSpace(m.Must("id", "-u", "admin")), machine.Patience)
		if sessions := m.Must("loginctl", "--no-legend", "list-sessions"); !strings.Contains(sessions, "admin") {
			t.Errorf("sessions: %q", sessions)
		}
		m.Must("loginctl", "terminate-user", "admin")
		login.Ended(machine.Patience)
	})
}

func TestDiskSurvivesRebootAndPowerLoss(t *testing.T) {
	t.Parallel()
	eachRelease(t, func(t *testing.T, m *machine.T) {
		id := m.Must("cat", "/etc/machine-id")
		m.WriteFile("/var/lib/kept/on", "before the reboot", 0o640)
		m.WriteFile("/run/lost", "", 0o644)
		m.Reboot()
		if m.Shell("test -e /run/lost").Code == 0 {
			t.Error("/run survived a reboot")
		}
		if got := m.ReadFile("/var/lib/kept/on"); got != "before the reboot" {
			t.Errorf("after the reboot the file holds %q", got)
		}
		m.Kill()
		if m.Running() {
			t.Error("running after a power loss")
		}
		m.WriteFile("/var/lib/kept/off", "while it was off", 0o600)
		m.PowerOn()
		if got := m.Must("cat", "/var/lib/kept/on", "/var/lib/kept/off"); got != "before the rebootwhile it was off" {
			t.Errorf("after the power loss the files hold %q", got)
		}
		m.PowerOff()
		m.PowerOn()
		if boots := m.Must("journalctl", "-q", "--list-boots", "--no-pager"); strings.Count(boots, "\n") < 4 {
			t.Errorf("the journal knows these of 4 boots:\n%s", boots)
		}
		if m.Boots() != 4 || m.Must("cat", "/etc/machine-id") != id {
			t.Errorf("boots = %d, machine id %s then %s", m.Boots(), id, m.Must("cat", "/etc/machine-id"))
		}
	})
}

// A twin finds what is on the disk, and from then on each machine changes its own.
func TestTwin(t *testing.T) {
	t.Parallel()
	eachRelease(t, func(t *testing.T, m *machine.T) {
		m.WriteFile("/var/lib/kept/both", "both", 0o640)
		m.WriteFile("/run/lost", "", 0o644)
		m.MustShell("rm /etc/motd; chown daemon /var/lib/kept/both; useradd anna")
		twin := m.Twin(t)
		if twin.Running() {
			t.Error("a twin runs before it is powered on")
		}
		m.MustShell("rm /var/lib/kept/both; userdel anna")
		twin.PowerOn()
		if got := twin.MustShell("cat /var/lib/kept/both; stat -c %U%a /var/lib/kept/both; getent passwd anna | cut -d: -f1; ls -d /run/lost /etc/motd 2>/dev/null || true"); got != "bothdaemon640\nanna\n" {
			t.Errorf("the twin has %q", got)
		}
		twin.Must("touch", "/var/lib/kept/twin")
		if got := m.MustShell("ls -A /var/lib/kept; ls /run/lost"); got != "/run/lost\n" {
			t.Errorf("the other one has %q", got)
		}
		third := twin.Twin(t)
		third.PowerOn()
		if got := third.MustShell("cat /etc/hostname /var/lib/kept/both; ls /var/lib/kept"); got != "node1\nbothboth\ntwin\n" {
			t.Errorf("the twin of the twin has %q", got)
		}
		if state := twin.Run("systemctl", "is-system-running"); state.Stdout != "running\n" {
			t.Errorf("the twin is %s; %s", state, twin.Shell("systemctl --failed").Stdout)
		}
	})
}

// Process 1 reports every reload, and the progress of a shutdown. It must never block because
// nobody reads the reports.
func TestRebootAfterManyReports(t *testing.T) {
	t.Parallel()
	eachRelease(t, func(t *testing.T, m *machine.T) {
		m.MustShell("for i in $(seq 15); do systemctl daemon-reload; done")
		m.Reboot()
	})
}

func TestRebootFromInside(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Trixie)
	m.Shell("systemctl --no-block reboot")
	m.AwaitBoot(2)
	m.Must("systemctl", "is-system-running")
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	eachRelease(t, func(t *testing.T, m *machine.T) {
		m.AddUser("user222", "an old password")
		passwd := m.As("user222").Terminal("passwd")
		passwd.Expect("Current password: ", machine.Patience)
		if !passwd.Silent() {
			t.Error("passwd echoes")
		}
		passwd.Send("an old password\n")
		passwd.Answer("New password: ", "12345678")
		passwd.Expect("BAD PASSWORD", machine.Patience)
		passwd.Answer("New password: ", "Trubador-Gneis-81")
		passwd.Answer("Retype new password: ", "Trubador-Gneis-81")
		if code := passwd.Ended(machine.Patience); code != 0 {
			t.Errorf("passwd ended with %d; %s", code, passwd)
		}
		if !m.Login("user222", "Trubador-Gneis-81") {
			t.Error("the password set on the terminal was refused")
		}
	})
}

// Ctrl-C reaches only the program, and its last output is still seen.
func TestTerminalInterrupt(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Bookworm)
	program := m.Terminal("sh", "-c", `trap 'sleep 0.2; echo caught; exit 130' INT; tty; while :; do sleep 0.05; done`)
	program.Expect("/dev/pts/", machine.Patience)
	program.Send("\x03")
	program.Expect("caught", machine.Patience)
	if code := program.Ended(machine.Patience); code != 130 {
		t.Errorf("ended with %d; %s", code, program)
	}
}

func TestCommands(t *testing.T) {
	t.Setenv("SHADOWSYNC_LEAK", "1")
	m := machine.Boot(t, machine.Bookworm)
	m.AddUser("admin", "right")
	if result := m.Input("in").Shell("cat; echo err >&2; exit 3"); result != (machine.Result{Stdout: "in", Stderr: "err\n", Code: 3}) {
		t.Errorf("result: %s", result)
	}
	if got := m.Run("sh", "-c", "kill -9 $$").Code; got != 137 {
		t.Errorf("killed: code %d, want 137", got)
	}
	if env := m.Env("GIVEN=1").Must("env"); strings.Contains(env, "LEAK") || !strings.Contains(env, "GIVEN=1\n") {
		t.Errorf("environment:\n%s", env)
	}
	if got := m.As("admin").MustShell("id -un; id -rgn; echo $HOME; whoami"); got != "admin\nadmin\n/home/admin\nadmin\n" {
		t.Errorf("as admin: %q", got)
	}
	background := m.Start("sleep", "1000")
	m.WaitFor("the sleep", machine.Patience, func() bool { return m.Run("pgrep", "-x", "sleep").Code == 0 })
	if err := background.Stop(); err != nil {
		t.Error(err)
	}
	if m.Run("pgrep", "-x", "sleep").Code == 0 {
		t.Error("the stopped process is still there")
	}
}
