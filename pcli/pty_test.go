package pcli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// TestMain lets the test binary play the shell, so that it runs as a process on a
// terminal, and the broker, so that one can try the shell by hand:
//
//	go test -c -o /tmp/try ./pcli && PCLI_TEST_BROKER=/tmp/try.sock /tmp/try &
//	bin/pcli --socket /tmp/try.sock
func TestMain(m *testing.M) {
	if path := os.Getenv("PCLI_TEST_BROKER"); path != "" {
		l, err := socket.Listen(path, 0o600)
		if err == nil {
			err = newFake().serve(context.Background(), l)
		}
		fmt.Println(err)
		return
	}
	if path := os.Getenv("PCLI_TEST_SHELL"); path != "" {
		o := Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Terminal: os.Getenv("TERM"), Socket: path}
		o.Command, o.OneCommand = os.LookupEnv("PCLI_TEST_COMMAND")
		o.Answers = os.Getenv("PCLI_TEST_ANSWERS") != ""
		os.Exit(Run(context.Background(), o))
	}
	os.Exit(m.Run())
}

// begin serves f for the test and returns its path.
func begin(t testing.TB, f *fake) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "operator.sock")
	l, err := socket.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.serve(ctx, l)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return path
}

// player plays a person at a terminal.
type player struct {
	t       *testing.T
	tty     *os.File // the test's side
	slave   *os.File // the shell's side, kept for reading its modes
	command *exec.Cmd
	seen    bytes.Buffer
	output  chan []byte
}

func shellCommand(t *testing.T, path, terminal string, env ...string) *exec.Cmd {
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), "PCLI_TEST_SHELL="+path, "TERM="+terminal, "TZ=UTC")
	command.Env = append(command.Env, env...)
	return command
}

// play starts the shell on its own terminal.
func play(t *testing.T, path, terminal string) *player {
	t.Helper()
	return playFrom(t, nil, path, terminal)
}

// playFrom is play with a standard input other than the terminal, if one is given.
func playFrom(t *testing.T, in *os.File, path, terminal string) *player {
	t.Helper()
	tty, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	_ = pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 100})
	tty = closable(t, tty)
	p := &player{t: t, tty: tty, slave: slave, command: shellCommand(t, path, terminal), output: make(chan []byte, 100)}
	p.command.Stdin, p.command.Stdout, p.command.Stderr = slave, slave, slave
	p.command.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1}
	if in != nil {
		p.command.Stdin = in
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			buffer := make([]byte, 4096)
			n, err := tty.Read(buffer)
			if err != nil {
				close(p.output)
				return
			}
			p.output <- buffer[:n]
		}
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		slave.Close()
		tty.Close()
	})
	return p
}

// closable returns a terminal whose reader ends when it is closed: package pty takes the descriptor
// out of Go's poller.
func closable(t *testing.T, tty *os.File) *os.File {
	t.Helper()
	defer tty.Close()
	fd, err := unix.FcntlInt(tty.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), tty.Name())
}

// expect waits until the terminal shows text, and drops the output before it.
func (p *player) expect(text string) string {
	p.t.Helper()
	timeout := time.After(time.Minute)
	for {
		if before, after, found := strings.Cut(p.seen.String(), text); found {
			p.seen.Reset()
			p.seen.WriteString(after)
			return before + text
		}
		select {
		case some, ok := <-p.output:
			if !ok {
				p.t.Fatalf("the terminal ended without %q, after %q", text, p.seen.String())
			}
			p.seen.Write(some)
		case <-timeout:
			p.t.Fatalf("not seen within a minute: %q; seen: %q", text, p.seen.String())
		}
	}
}

// send types text.
func (p *player) send(text string) {
	p.t.Helper()
	if _, err := p.tty.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns the exit status and the remaining output.
func (p *player) wait() (int, string) {
	p.t.Helper()
	timer := time.AfterFunc(time.Minute, func() { _ = p.command.Process.Kill() })
	defer timer.Stop()
	_ = p.command.Wait()
	const end = "\x06"
	_, _ = p.slave.WriteString(end) // comes after all that the shell wrote; a terminal that hung up has an end itself
	for !bytes.HasSuffix(p.seen.Bytes(), []byte(end)) {
		some, ok := <-p.output
		if !ok {
			break
		}
		p.seen.Write(some)
	}
	return p.command.ProcessState.ExitCode(), strings.TrimSuffix(p.seen.String(), end)
}

// echoes reports whether the terminal is in a shell's mode: lines, echo, signals.
func (p *player) echoes() bool {
	p.t.Helper()
	modes, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	const all = unix.ECHO | unix.ICANON | unix.ISIG
	return modes.Lflag&all == all
}

const prompt = "user222@node1.conductor# "

// transcript is the contract's transcript.
const transcript = "set password\r\n" +
	"Changing the current password will log this user out of all active sessions. Subsequent logins will require the new password to authenticate.\r\n" +
	"Enter your current password:\r\n" +
	"Enter a new password:\r\n" +
	"Confirm:\r\n" +
	"✔ Modifying password...\r\n" +
	"Password updated successfully\r\n"

func TestSetPassword(t *testing.T) {
	for _, terminal := range []string{"xterm", "dumb"} {
		t.Run(terminal, func(t *testing.T) {
			f := newFake()
			p := play(t, begin(t, f), terminal)
			p.expect(prompt)
			p.send("set password\r")
			got := p.expect("current password:")
			p.send("old secret\r")
			got += p.expect("new password:")
			p.send("new secret\r")
			got += p.expect("Confirm:")
			p.send("new secret\r")
			status, rest := p.wait()
			if got += rest; got != transcript {
				t.Errorf("the terminal showed\n%q, want\n%q", got, transcript)
			}
			if status != 0 || f.kept() != "new secret" || !p.echoes() {
				t.Errorf("status %d, password %q, echo %v", status, f.kept(), p.echoes())
			}
		})
	}
}

// Pasted input, passwords included, works like typed input.
func TestSetPasswordPasted(t *testing.T) {
	f := newFake()
	p := play(t, begin(t, f), "xterm")
	p.expect(prompt)
	p.send("set password\rold secret\rnew secret\rnew secret\recho left behind\r")
	status, shown := p.wait()
	if status != 0 || f.kept() != "new secret" || shown != transcript {
		t.Errorf("status %d, password %q, shown %q", status, f.kept(), shown)
	}
	if left := p.unread(); left != len("echo left behind\r") {
		t.Errorf("%d bytes are left for the next program", left)
	}
}

// If the shell is killed during a password, the next program must not read and show the typed part.
func TestHalfAPasswordIsThrownAway(t *testing.T) {
	p := play(t, begin(t, newFake()), "xterm")
	p.expect(prompt)
	p.send("set password\r")
	p.expect("current password:")
	pid := p.command.Process.Pid
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(pid, nil, unix.WUNTRACED, nil); err != nil {
		t.Fatal(err)
	}
	p.send(strings.Repeat("half a password ", 200)) // more than the shell reads before the signal arrives
	eventually.Holds(t, "the terminal takes it", func() bool { return p.unread() > 0 })
	if err := errors.Join(unix.Kill(pid, unix.SIGTERM), unix.Kill(pid, unix.SIGCONT)); err != nil {
		t.Fatal(err)
	}
	if _, shown := p.wait(); p.unread() > 0 || !p.echoes() || strings.Contains(shown, "half") {
		t.Errorf("%d bytes are left for the next program, echo %v, shown %q", p.unread(), p.echoes(), shown)
	}
}

// unread is the number of typed bytes that no program has read.
func (p *player) unread() int {
	p.t.Helper()
	n, err := unix.IoctlGetInt(int(p.slave.Fd()), unix.TIOCINQ)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func TestSetPasswordFails(t *testing.T) {
	tests := []struct {
		name   string
		typed  []string // after each password prompt
		shown  string   // after the last prompt
		status int
		change func(*fake)
	}{
		{"wrong current", []string{"wrong"}, "\r\n✖ Modifying password...\r\n% Error: the current password is not that\r\n" + prompt, 7, nil},
		{"ctrl-c at current", []string{"\x03"}, "\r\nOperation canceled\r\n" + prompt, 130, nil},
		{"ctrl-c half way", []string{"old\x03"}, "\r\nOperation canceled\r\n" + prompt, 130, nil},
		{"ctrl-c at new", []string{"old secret", "\x03"}, "\r\nOperation canceled\r\n" + prompt, 130, nil},
		{"ctrl-c at confirm", []string{"old secret", "new", "\x03"}, "\r\nOperation canceled\r\n" + prompt, 130, nil},
		{"ctrl-d", []string{"\x04"}, "\r\nOperation canceled\r\n" + prompt, 130, nil},
		{
			"weak three times",
			[]string{"old secret", "weak1", "weak1", "weak2", "weak2", "weak3", "weak3"},
			"\r\n✖ Modifying password...\r\n% Error: BAD PASSWORD: it is too weak\r\n" + prompt, 6, nil,
		},
		{
			"confirmed wrongly three times",
			[]string{"old secret", "a", "b", "a", "b", "a", "b"},
			"\r\n✖ Modifying password...\r\n% Error: the passwords do not match\r\n" + prompt, 6, nil,
		},
		{
			"store does not take it",
			[]string{},
			"✖ Modifying password...\r\n% Error: conductor's store: read-only file system; nothing was changed\r\n" + prompt, 9,
			func(f *fake) { f.before = refuse(operator.OpSetPassword, operator.Unavailable) },
		},
		{
			"lost after the new password",
			[]string{"old secret", "new", "new"},
			"\r\n✖ Modifying password...\r\n% Error: shadowsync did not say whether", 9,
			func(f *fake) {
				f.dropNew = true
				f.before = refuse(operator.OpOutcome, operator.Unavailable)
			},
		},
		{
			"lost after the new password, and nothing came of it",
			[]string{"old secret", "new", "new"},
			"\r\n✖ Modifying password...\r\n% Error: conductor's store: read-only file system; nothing was changed\r\n" + prompt, 1,
			func(f *fake) {
				f.dropNew = true
				f.before = refuse(operator.OpOutcome, operator.Failed)
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			if tt.change != nil {
				tt.change(f)
			}
			p := play(t, begin(t, f), "xterm")
			p.expect(prompt)
			p.send("set password\r")
			for _, password := range tt.typed {
				p.expect(":")
				if !strings.HasSuffix(password, "\x03") && password != "\x04" {
					password += "\r"
				}
				p.send(password)
			}
			p.expect(tt.shown)
			p.send("quit\r")
			if status, _ := p.wait(); status != tt.status || f.kept() != "old secret" || !p.echoes() {
				t.Errorf("exit status %d, password %q, echo %v", status, f.kept(), p.echoes())
			}
		})
	}
}
