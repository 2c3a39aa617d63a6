package pcli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/term/exit"

	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

// On a terminal, each step types text and waits for output.
func TestOnATerminal(t *testing.T) {
	type step struct{ typed, shown string }
	tests := []struct {
		name   string
		steps  []step
		status int
	}{
		{"unknown command", []step{{"bad\r", "Command 'bad' not found (use '?' for help)\r\n" + prompt}, {"exit\r", ""}}, 2},
		{"help without Enter", []step{{"set ?", prompt + "set ?\r\n  password  Change your own password, and end all your sessions\r\n" + prompt + "set "}, {"\x04\x15\x04", ""}}, 0},
		{"Tab", []step{{"sh\tu\tj\t\r", "show user jdeveloper \r\n\r\n" + strings.Repeat("=", 29) + "\r\n Information for jdeveloper:\r\n"}, {"quit\r", ""}}, 0},
		{"ctrl-c gives up a line", []step{{"delete user force jdeveloper\x03", "^C\r\n" + prompt}, {"\x04", ""}}, 0},
		{"ctrl-z leaves", []step{{"\x1a", ""}}, 0},
		{"ctrl-z at a question", []step{{"delete user admin\r", "[y/N]: "}, {"y\x1a", "Operation canceled\r\n" + prompt}, {"exit\r", ""}}, 130},
		{"ctrl-z runs a line", []step{{"show history\x1a", "1  show history\r\n" + prompt}, {"\x1a", ""}}, 0},
		{"arrow up", []step{{"show sync\r", prompt}, {"exi\x1b[A\x1b[B\x1b[A\r", "show sync\r\n===="}, {"quit\r", ""}}, 0},
		{"recalled", []step{
			{"show history\r", prompt},
			{"!!\r", "!!\r\nshow history\r\n    1  show history\r\n    2  show history\r\n" + prompt},
			{"!1\r", "    3  show history\r\n" + prompt},
			{"!-3\r", "    4  show history\r\n" + prompt},
			{"!sh\r", "    5  show history\r\n" + prompt},
			{"!x\r", "% Error: !x: there is no such line in the history\r\n" + prompt},
			{"!99\r", "% Error: !99:"},
			{"clear history\r", "History cleared\r\n" + prompt},
			{"show history\r", "\r\n    1  show history\r\n" + prompt},
			{"exit\r", ""},
		}, 0},
		{"a delete that is confirmed", []step{
			{"delete user jdeveloper\r", "2 sessions will end.\r\nThe home /home/jdeveloper stays ("},
			{"", "Delete account 'jdeveloper'? [y/N]: "},
			{"y\r", "Account 'jdeveloper' successfully deleted\r\n" + prompt},
			{"show user jdeveloper\r", "% Error: there is no account 'jdeveloper'\r\n"},
			{"exit\r", ""},
		}, 5},
		{"a delete that is not", []step{
			{"delete user jdeveloper\r", "[y/N]: "},
			{"\r", "Operation canceled\r\n" + prompt},
			{"delete user jdeveloper\r", "[y/N]: "},
			{"\x03", "Operation canceled\r\n" + prompt},
			{"delete user jdeveloper\r", "[y/N]: "},
			{"\x04", "Operation canceled\r\n" + prompt},
			{"show user jdeveloper\r", "Joe Developer"},
			{"exit\r", ""},
		}, 0},
		{"a delete by force", []step{{"delete user force jdeveloper\r", "force jdeveloper\r\nAccount 'jdeveloper' successfully deleted\r\n"}, {"exit\r", ""}}, 0},
		{"a delete with the home", []step{
			{"delete user jdeveloper remove-home\r", "The home /home/jdeveloper with everything in it"},
			{"n\r", "Operation canceled\r\n" + prompt},
			{"delete user nobody\r", "% Error: there is no account 'nobody'\r\n" + prompt},
			{"exit\r", ""},
		}, 5},
		{"create user refuses before it asks", []step{
			{"create user admin\r", "create user admin\r\n% Error: an account of that name exists already\r\n" + prompt},
			{"create user\r", "Username: "},
			{"admin\r", "admin\r\n% Error: an account of that name exists already\r\n" + prompt},
			{"exit\r", ""},
		}, 2},
		{"did you mean", []step{
			{"show sessions\r", "Command 'show sessions' not found (use '?' for help); did you mean 'show user sessions'?\r\n" + prompt},
			{"exit\r", ""},
		}, 2},
		{"logout user", []step{
			{"logout user admin\r", "Disconnect all sessions of 'admin'? [y/N]: "},
			{"y\r", "2 sessions of 'admin' ended\r\n"},
			{"exit\r", ""},
		}, 0},
		{"create user", []step{
			{"create user\r", "Username: "},
			{"jd\r", "Creating account 'jd'...\r\nFull Name: "},
			{"Joe ?\r", "Password: "},
			{"one\r", "Confirm: "},
			{"two\r", "% Error: the passwords do not match\r\nPassword: "},
			{"one\r", "Confirm: "},
			{"one\r", "Role (user | admin) [user]: "},
			{"root\r", "% Error: 'root' is not one of user, admin\r\nRole (user | admin) [user]: "},
			{"admin\r", "Enabled (true or false) [true]: "},
			{"\r", "Account 'jd' successfully created\r\n" + prompt},
			{"show user jd\r", "Enabled: true\r\n Full Name: Joe ?\r\n Role: admin\r\n"},
			{"show history\r", "    1  create user\r\n    2  show user jd\r\n    3  show history\r\n" + prompt},
			{"exit\r", ""},
		}, 0},
		{"edit user in one line", []step{{"edit user admin full-name \"A D\" role user\r", "Account 'admin' updated successfully\r\nAccount 'admin' updated successfully\r\n"}, {"exit\r", ""}}, 0},
		{"edit user in its menu", []step{
			{"edit user admin\r", "user222@node1.conductor (user[name=admin])# "},
			{"full-name A D\r", "Account 'admin' updated successfully\r\n"},
			{"password\r", "Password: "},
			{"pw\r", "Confirm: "},
			{"pw\r", "Account 'admin' updated successfully\r\n"},
			{"show\r", " Full Name: A D\r\n"},
			{"lock user admin\r", "Command 'lock' not found (use '?' for help)\r\n"},
			{"\x04", "\r\n" + prompt},
			{"edit user nobody\r", "% Error: there is no account 'nobody'\r\n" + prompt},
			{"edit user\r", "(user[name=user222])# "},
			{"top\r", prompt},
			{"exit\r", ""},
		}, 0},
		{"lock, unlock, expire, disconnect", []step{
			{"lock user admin\r", "Account 'admin' successfully locked\r\n"},
			{"unlock user admin\r", "Account 'admin' successfully unlocked\r\n"},
			{"expire password admin\r", "Password of account 'admin' successfully expired"},
			{"disconnect user admin\r", "Disconnect all sessions of 'admin'? [y/N]: "},
			{"yes\r", "2 sessions of 'admin' ended\r\nkeys in "},
			{"exit\r", ""},
		}, 0},
		{"a long line", []step{{strings.Repeat("x", 5000) + "\r", "\r\n% Error: the line is longer than 4096 bytes\r\n" + prompt}, {"exit\r", ""}}, 2},
		{"paged", []step{{"show user activity rows 60\r", "--More--"}, {" ", "--More--"}, {"q", prompt}, {"exit\r", ""}}, 0},
		{"UTF-8", []step{{"create user j\u00fcrgen\r", "Creating account 'jürgen'...\r\n"}, {"\x03", "^C\r\nOperation canceled\r\n"}, {"exit\r", ""}}, 130},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := play(t, begin(t, newFake()), "xterm-256color")
			p.expect(prompt)
			for _, s := range tt.steps {
				p.send(s.typed)
				p.expect(s.shown)
			}
			if status, rest := p.wait(); status != tt.status || !p.echoes() {
				t.Errorf("exit status %d, want %d; echo %v; %q", status, tt.status, p.echoes(), rest)
			}
		})
	}
}

func TestTables(t *testing.T) {
	tests := []struct{ command, want string }{
		{"show user all", "" +
			"============ =============== ======= ========= ========== =========\n" +
			" Username     Full Name       Roles   Enabled   Sessions   State\n" +
			"============ =============== ======= ========= ========== =========\n" +
			" admin                        admin   true      0          in-sync\n" +
			" jdeveloper   Joe Developer   admin   true      2          in-sync\n" +
			" user222      User            admin   true      0          in-sync\n"},
		{"show user jdeveloper", "\n" +
			"=============================\n" +
			" Information for jdeveloper:\n" +
			"=============================\n" +
			" Enabled: true\n" +
			" Full Name: Joe Developer\n" +
			" Role: admin\n" +
			" Application: conductor\n" +
			" Password Format: yescrypt\n" +
			" Password Changed: 2026-11-20\n" +
			" State: in-sync\n" +
			" Sessions: 2\n\n"},
		{"show user sessions", "" +
			"========== =============== ====== ========== =========== =====================\n" +
			" Username   Session         Type   Terminal   From        Since\n" +
			"========== =============== ====== ========== =========== =====================\n" +
			" user222    c1 (this one)   sshd   pts/0      192.0.2.7   2026-11-21 10:00:00\n" +
			" user222    c2              su     pts/1                  2026-11-21 10:00:00\n"},
		{"show user activity rows 1 admin", "" +
			"===================== ========== ========= ======================= =========\n" +
			" Time                  Username   Action    By                      Result\n" +
			"===================== ========== ========= ======================= =========\n" +
			" 2026-11-21 10:00:00   admin      adopt-0   t128 as root (passwd)   in-sync\n"},
		{"show sync", "" +
			"========== ============= ========= ======= ===================== ========================================================\n" +
			" Username   Application   State     Guard   Last Change           Reason\n" +
			"========== ============= ========= ======= ===================== ========================================================\n" +
			" admin      conductor     in-sync   off     2026-11-21 10:00:00\n" +
			" user222    conductor     pending   on                            store: read-only file system since 2026-11-21 10:00:00\n"},
	}
	path := begin(t, newFake())
	for _, tt := range tests {
		t.Run(tt.command, func(t *testing.T) {
			status, out, errOut := script(t, path, "", "PCLI_TEST_COMMAND="+tt.command)
			if tt.command == "show user activity rows 1 admin" { // the fake returns three
				out = strings.Join(strings.SplitAfter(out, "\n")[:4], "")
			}
			if status != 0 || out != tt.want || errOut != "" {
				t.Errorf("status %d, %q\n%s, want\n%s", status, errOut, out, tt.want)
			}
		})
	}
}

// script runs the shell without a terminal.
func script(t *testing.T, path, input string, env ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	command := shellCommand(t, path, "xterm", env...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &o, &e
	command.SysProcAttr = &unix.SysProcAttr{Setsid: true} // no /dev/tty
	timer := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
	defer timer.Stop()
	var failed *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), o.String(), e.String()
}

// Whoever runs "exit 71;" by the login shell and gets 71 takes it for a Unix shell, and would start other programs beside
// it. So Cockpit does (src/session/session.c, user_has_valid_login_shell), and lets nobody in otherwise.
func TestNoUnixShell(t *testing.T) {
	path := begin(t, newFake())
	for _, command := range []string{"exit 71;", "exit 71", "exit 71; exit 71", "exit 71\n", "quit 71"} {
		status, out, errOut := script(t, path, "", "PCLI_TEST_COMMAND="+command)
		if status != exit.Usage || out != "" || !strings.Contains(errOut, "is not expected; usage: ") {
			t.Errorf("%q: status %d, %q, %q", command, status, out, errOut)
		}
	}
}

func TestScripts(t *testing.T) {
	const command = "PCLI_TEST_COMMAND="
	const answers = "PCLI_TEST_ANSWERS=yes"
	tests := []struct {
		name, input string
		env         []string
		status      int
		out, errOut string
	}{
		{"nothing", "", nil, 0, "", ""},
		{"comments and empty lines", "# hello\n\n  \n", nil, 0, "", ""},
		{"a failure does not stop the rest", "bad\nlock user admin\n", nil, 0, "Account 'admin' successfully locked\n", "Command 'bad' not found (use '?' for help)\n"},
		{"the last status counts", "lock user admin\nlock user nobody", nil, 5, "Account 'admin' successfully locked\n", "% Error: there is no account 'nobody'\n"},
		{"exit keeps it", "bad\nexit\nlock user admin\n", nil, 2, "", "Command 'bad' not found (use '?' for help)\n"},
		{"windows lines", "lock user admin\r\n", nil, 0, "Account 'admin' successfully locked\n", ""},
		{"no history", "!!\n", nil, 2, "", "Command '!!' not found (use '?' for help)\n"},
		{"help", "set ?\n", nil, 0, "  password  Change your own password, and end all your sessions\n", ""},
		{"NUL", "lock\x00 user admin\n", nil, 2, "", "% Error: the line holds control characters or is not UTF-8\n"},
		{"a line of a megabyte", strings.Repeat("x", 1<<20) + "\n", nil, 2, "", "% Error: the line is longer than 4096 bytes\n"},
		{"control characters come back quoted", "show user '\u202e\x1b[31m'\n", nil, 2, "", "% Error: the line holds control characters or is not UTF-8\n"},
		{"one command", "not read", []string{command + "lock user admin"}, 0, "Account 'admin' successfully locked\n", ""},
		{"two commands", "", []string{command + "lock user admin\nbad"}, 2, "Account 'admin' successfully locked\n", "Command 'bad' not found (use '?' for help)\n"},
		{"an empty command", "lock user admin\n", []string{command}, 0, "", ""},
		{"nobody to ask for force", "", []string{command + "delete user admin"}, 2, "", "% Error: there is no terminal to ask on; 'force' does it without a question\n"},
		{"force", "", []string{command + "delete user force admin"}, 0, "Account 'admin' successfully deleted\n", ""},
		{
			"nobody to ask for a password", "old secret\nnew\nnew\n",
			[]string{command + "set password"},
			2,
			"Changing the current password will log this user out of all active sessions. Subsequent logins will require the new password to authenticate.\n",
			"% Error: there is no terminal to ask on; pcli --stdin takes answers from standard input\n",
		},
		{
			"answers from standard input", "old secret\nnew\nnew\n",
			[]string{command + "set password", answers},
			0,
			"Changing the current password will log this user out of all active sessions. Subsequent logins will require the new password to authenticate.\n" +
				"✔ Modifying password...\nPassword updated successfully\n",
			"Enter your current password:Enter a new password:Confirm:",
		},
		{
			"answers in a script", "create user jd\nJoe\npw\npw\n\nfalse\nlock user jd\n",
			[]string{answers},
			0,
			"Creating account 'jd'...\nAccount 'jd' successfully created\nAccount 'jd' successfully locked\n",
			"Full Name: Password: Confirm: Role (user | admin) [user]: Enabled (true or false) [true]: ",
		},
		{
			"answers that end early", "old secret\n",
			[]string{command + "set password", answers},
			130,
			"Changing the current password will log this user out of all active sessions. Subsequent logins will require the new password to authenticate.\n",
			"Enter your current password:Enter a new password:Operation canceled\n",
		},
		{"a bad time", "", []string{command + "show user activity from noon"}, 2, "", "% Error: cannot understand the time: \"noon\" is not a time: write 2026-11-21, \"2026-11-21 10:00\", yesterday, 10:00, 45m or \"2 hours ago\"\n"},
		{"edit in a script", "edit user admin\nfull-name A D\nexit\nshow history\n", nil, 0, "Account 'admin' updated successfully\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, out, errOut := script(t, begin(t, newFake()), tt.input, tt.env...)
			if status != tt.status || out != tt.out || errOut != tt.errOut {
				t.Errorf("status %d, want %d\nout %q, want\n    %q\nerr %q, want\n    %q", status, tt.status, out, tt.out, errOut, tt.errOut)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	status, out, errOut := script(t, "/nonexistent/operator.sock", "")
	if status != 9 || out != "" || errOut != "% Error: shadowsync is not running\n" {
		t.Errorf("%d %q %q", status, out, errOut)
	}
}

func TestNotManaged(t *testing.T) {
	const shared = "not permitted: admin and second have the same uid"
	for said, want := range map[string]string{
		"not permitted": "no application manages this account, so there is nothing to do here", shared: shared,
	} {
		f := newFake()
		f.before = func(op operator.Op) *operator.Error {
			if op != operator.OpHello {
				return nil
			}
			return operator.Errorf(operator.NotPermitted, "%s", said)
		}
		status, _, errOut := script(t, begin(t, f), "")
		if status != 8 || errOut != "% Error: "+want+"\n" {
			t.Errorf("%d %q", status, errOut)
		}
	}
}

func TestExpired(t *testing.T) {
	const warning = "WARNING: Your password has expired.\r\nYou must change your password now and login again!\r\n"
	f := newFake()
	f.hello.Expired = true
	path := begin(t, f)

	p := play(t, path, "xterm")
	p.expect("current password:")
	p.send("\x03")
	if status, rest := p.wait(); status != 130 || rest != "\r\nOperation canceled\r\n" {
		t.Errorf("given up: %d, %q", status, rest)
	}

	p = play(t, path, "xterm")
	got := p.expect("current password:")
	p.send("old secret\rnew\rnew\r")
	status, rest := p.wait()
	want := warning + strings.TrimPrefix(transcript, "set password\r\n")
	if got += rest; status != 0 || got != want || f.kept() != "new" {
		t.Errorf("status %d, %q, shown %q", status, f.kept(), got)
	}
}

func TestRoles(t *testing.T) {
	f := newFake()
	f.hello.Role, f.hello.Ops = operator.RoleUser, userOps
	p := play(t, begin(t, f), "xterm")
	p.expect("user222@node1.conductor> ")
	p.send("?")
	if shown := p.expect("quit "); strings.Contains(shown, "create") || strings.Contains(shown, "lock") || !strings.Contains(shown, "set ") {
		t.Errorf("shown: %q", shown)
	}
	p.send("lock user admin\r")
	p.expect("Command 'lock' not found (use '?' for help)\r\n")
	p.send("help\r")
	if shown := p.expect("Keys:"); strings.Contains(shown, "disconnect") {
		t.Errorf("shown: %q", shown)
	}
}

// Other users' names are foreign text, and so is everything that the broker says.
func TestHostileText(t *testing.T) {
	const evil = "x\x1b]0;owned\x07\n\u202e\xff"
	f := newFake()
	f.users[1].Name, f.users[1].FullName, f.users[1].Reason = evil, strings.Repeat(evil, 50), evil
	f.hello.Node = "node\x1b[31m"
	path := begin(t, f)
	for _, command := range []string{"show user all", "show user jdeveloper", "show sync", "lock user nobody"} {
		_, out, errOut := script(t, path, "", "PCLI_TEST_COMMAND="+command)
		if all := out + errOut; strings.ContainsAny(all, "\x1b\x07\r\u202e") || strings.Contains(all, "\xff") {
			t.Errorf("%s: %q", command, all)
		}
	}
	p := play(t, path, "xterm")
	p.expect(`user222@node\x1b[31m.conductor# `)
	p.send("show user x\t\t?")
	p.expect("NAME")
	if all := p.seen.String(); strings.Contains(all, "owned\x07") {
		t.Errorf("%q", all)
	}
}

func TestHangUp(t *testing.T) {
	for _, typed := range []string{"", "half a line", "set password\r", "create user\r"} {
		t.Run(typed, func(t *testing.T) {
			f := newFake()
			p := play(t, begin(t, f), "xterm")
			p.expect(prompt)
			p.send(typed)
			if typed != "" {
				p.expect(map[byte]string{'\r': ":"}[typed[len(typed)-1]])
			}
			_ = p.command.Process.Signal(unix.SIGHUP)
			status, rest := p.wait()
			if status != 128+int(unix.SIGHUP) || !p.echoes() || strings.Contains(rest, "Error") || f.kept() != "old secret" {
				t.Errorf("status %d, echo %v, %q", status, p.echoes(), rest)
			}
		})
	}
}

// A hang-up also ends a wait for the broker without output.
func TestHangUpWhileWaiting(t *testing.T) {
	for _, command := range []string{"show sync", "lock user admin", "set password"} {
		t.Run(command, func(t *testing.T) {
			f := newFake()
			p := play(t, begin(t, f), "xterm")
			p.expect(prompt)
			f.mutex.Lock()
			defer f.mutex.Unlock()
			p.send(command + "\r")
			f.awaits(t, 2)
			p.seen.Reset()
			_ = p.command.Process.Signal(unix.SIGHUP)
			if status, rest := p.wait(); status != 128+int(unix.SIGHUP) || !p.echoes() || strings.Contains(rest, "Error") || strings.Contains(rest, "✖") {
				t.Errorf("status %d, echo %v, %q", status, p.echoes(), rest)
			}
		})
	}
}

// A lost terminal ends the shell, with or without a signal.
func TestLostTerminal(t *testing.T) {
	p := play(t, begin(t, newFake()), "xterm")
	p.expect(prompt)
	p.send("set password\r")
	p.expect("current password:")
	p.slave.Close()
	p.tty.Close()
	done := make(chan struct{})
	go func() { defer close(done); _ = p.command.Wait() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("it still runs")
	}
}

func TestIdle(t *testing.T) {
	f := newFake()
	f.hello.IdleTimeout = 1
	p := play(t, begin(t, f), "xterm")
	p.expect(prompt)
	p.send("set password\r")
	if status, rest := p.wait(); status != 0 || !strings.HasSuffix(rest, "No key was pressed for 1s: leaving\r\n") || !p.echoes() {
		t.Errorf("%d %q", status, rest)
	}
}

// Ctrl-C cancels a wait on every kind of console.
func TestInterruptedWait(t *testing.T) {
	for _, terminal := range []string{"xterm", "dumb"} {
		t.Run(terminal, func(t *testing.T) {
			f := newFake()
			p := play(t, begin(t, f), terminal)
			p.expect(prompt)
			f.mutex.Lock()
			p.send("show sync\r")
			p.expect("show sync\r\n")
			f.awaits(t, 2) // earlier, Ctrl-C would cancel the line
			p.send("\x03")
			p.expect("Operation canceled\r\n" + prompt)
			f.mutex.Unlock()
		})
	}
}

// A signal from another process must not leave the terminal raw.
func TestSignals(t *testing.T) {
	p := play(t, begin(t, newFake()), "xterm")
	p.expect(prompt)
	for _, signal := range []unix.Signal{unix.SIGQUIT, unix.SIGTSTP, unix.SIGINT} {
		_ = p.command.Process.Signal(signal)
	}
	p.expect("\r\n" + prompt) // as after Ctrl-C
	p.send("show history\r")
	p.expect("1  show history\r\n")
	_ = p.command.Process.Signal(unix.SIGTERM)
	if status, _ := p.wait(); status != 128+int(unix.SIGTERM) || !p.echoes() {
		t.Errorf("status %d, echo %v", status, p.echoes())
	}
}

// A dumb terminal: no escape sequences, ? with Enter, Ctrl-C, Ctrl-D.
func TestDumb(t *testing.T) {
	for _, terminal := range []string{"dumb", ""} {
		p := play(t, begin(t, newFake()), terminal)
		all := p.expect(prompt)
		p.send("set ?\r")
		all += p.expect("  password  Change your own password")
		p.send("set password\r")
		all += p.expect("current password:")
		if p.echoes() {
			t.Error("the password would be shown")
		}
		p.send("\x03")
		all += p.expect("Operation canceled\r\n" + prompt)
		if !p.echoes() {
			t.Error("nothing is shown any more")
		}
		p.send("half a line\x03")
		all += p.expect("\r\n" + prompt)
		p.send("show history\r")
		all += p.expect("1  set ?\r\n    2  set password\r\n    3  show history\r\n")
		p.send("\x04")
		status, rest := p.wait()
		if all += rest; status != 0 || strings.Contains(all, "\x1b") {
			t.Errorf("status %d, %q", status, all)
		}
	}
}

// If standard input does not contain the answer, the terminal is asked, if there is one.
func TestPasswordComesFromTheTerminal(t *testing.T) {
	f := newFake()
	p := playScript(t, begin(t, f), "set password\nnot a password\n")
	p.expect("current password:")
	if p.echoes() {
		t.Error("the password would be shown")
	}
	p.send("old secret\r")
	p.expect("new password:")
	p.send("new\r")
	p.expect("Confirm:")
	p.send("new\r")
	if status, _ := p.wait(); status != 0 || f.kept() != "new" || !p.echoes() {
		t.Errorf("status %d, %q", status, f.kept())
	}
}

// playScript is play with commands from a file, as in `pcli < file` on a terminal.
func playScript(t *testing.T, path, commands string) *player {
	t.Helper()
	file := t.TempDir() + "/commands"
	if err := os.WriteFile(file, []byte(commands), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	return playFrom(t, in, path, "xterm")
}
