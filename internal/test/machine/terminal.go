package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Terminal is a program on a pseudo-terminal of the machine. The program leads its own session,
// the terminal is its controlling terminal, and tty(1) finds its name.
type Terminal struct {
	args    []string
	master  *os.File
	process *exec.Cmd
	output  *buffer
	seen    int           // bytes of the output that Await has consumed
	done    chan struct{} // closed when the program has ended and its output is read
}

// Terminal starts a program on a terminal of 24 rows and 80 columns. It ignores command.Input.
func (m *Machine) Terminal(command Command) (*Terminal, error) {
	process, err := m.prepare(context.Background(), command)
	if err != nil {
		return nil, err
	}
	master, slave, err := m.openPty(command.User)
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	withControllingTerminal(process)
	process.Stdin, process.Stdout, process.Stderr = slave, slave, slave
	if err := m.startIn(process); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start %q: %w", command.Args, err), master.Close())
	}
	t := &Terminal{args: command.Args, master: master, process: process, output: newBuffer(), done: make(chan struct{})}
	go t.collect()
	return t, nil
}

// withControllingTerminal makes setsid(1), inside the machine, create the program's session.
// nsenter(1) stays outside of that session: inside, Ctrl-C would kill it while it waits for the
// program, and the program would hang up.
func withControllingTerminal(process *exec.Cmd) {
	for i, arg := range process.Args {
		if arg == "--" {
			process.Args = append(process.Args[:i+1:i+1], append([]string{"setsid", "--ctty"}, process.Args[i+1:]...)...)
			return
		}
	}
}

// openPty opens a new terminal in the machine's own devpts and gives it to the user. ioctl_tty(2)
// TIOCGPTPEER opens the slave without a path.
func (m *Machine) openPty(user string) (master, slave *os.File, err error) {
	b, err := m.life()
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join("/proc", strconv.Itoa(b.leader), "root/dev/pts/ptmx")
	// Non-blocking, so that closing the file wakes up its reader.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open a terminal of the machine: %w", err)
	}
	master = os.NewFile(uintptr(fd), "terminal")
	slave, err = m.openPeer(fd, user)
	if err == nil {
		err = resize(master, 24, 80)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("cannot set up a terminal of the machine: %w", err), master.Close())
	}
	return master, slave, nil
}

func (m *Machine) openPeer(master int, user string) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, errno
	}
	slave := os.NewFile(fd, "terminal")
	if user == "" || user == "root" {
		return slave, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	entry, err := m.passwdEntry(ctx, user)
	if err != nil {
		return nil, errors.Join(err, slave.Close())
	}
	uid, _ := strconv.Atoi(entry[2])
	return slave, slave.Chown(uid, -1)
}

// collect gathers the output. Reading ends with EIO when the last slave is closed; a background
// child of the program may delay that.
func (t *Terminal) collect() {
	defer close(t.done)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(t.output, t.master)
	}()
	_ = t.process.Wait()
	select {
	case <-read:
	case <-time.After(2 * time.Second):
	}
}

// Await returns when text appears in the output after the previously awaited text.
func (t *Terminal) Await(ctx context.Context, text string) error {
	for {
		ended := isClosed(t.done)
		rest, more := t.output.after(t.seen)
		if at := strings.Index(rest, text); at >= 0 {
			t.seen += at + len(text)
			return nil
		}
		if ended {
			return fmt.Errorf("cannot see %q: the program ended; %s", text, t)
		}
		select {
		case <-more:
		case <-t.done:
		case <-ctx.Done():
			return fmt.Errorf("cannot see %q: %w; %s", text, context.Cause(ctx), t)
		}
	}
}

// Send types text; "\n" ends a line, "\x03" is Ctrl-C.
func (t *Terminal) Send(text string) error {
	if _, err := t.master.WriteString(text); err != nil {
		return fmt.Errorf("cannot type %q: %w; %s", text, err, t)
	}
	return nil
}

// Resize changes the terminal's size.
func (t *Terminal) Resize(rows, columns uint16) error {
	if err := resize(t.master, rows, columns); err != nil {
		return fmt.Errorf("cannot resize a terminal: %w", err)
	}
	return nil
}

func resize(master *os.File, rows, columns uint16) error {
	return control(master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
}

// control runs an ioctl(2) without File.Fd, which may make the descriptor blocking, so that Close
// could not wake up its reader.
func control(file *os.File, do func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var outcome error
	err = raw.Control(func(fd uintptr) { outcome = do(int(fd)) })
	return errors.Join(err, outcome)
}

// Echoes reports whether the terminal shows typed text; it is false during a password prompt.
func (t *Terminal) Echoes() (bool, error) {
	var settings *unix.Termios
	err := control(t.master, func(fd int) (err error) {
		settings, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cannot read a terminal's settings: %w", err)
	}
	return settings.Lflag&unix.ECHO != 0, nil
}

// Wait waits for the program's end and returns its exit status, as in Result.
func (t *Terminal) Wait(ctx context.Context) (int, error) {
	select {
	case <-t.done:
		return exitCode(t.process), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("cannot see the end of a program: %w; %s", context.Cause(ctx), t)
	}
}

// Transcript is everything that the terminal has shown, with carriage returns.
func (t *Terminal) Transcript() string { return t.output.String() }

func (t *Terminal) String() string { return fmt.Sprintf("terminal of %q:\n%s", t.args, t.Transcript()) }

// Close hangs up, and kills a program that has not ended after two seconds.
func (t *Terminal) Close() error {
	err := t.master.Close()
	select {
	case <-t.done:
	case <-time.After(2 * time.Second):
		t.kill()
		<-t.done
	}
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// kill ends the program, which is in its own session.
func (t *Terminal) kill() { killChildren(t.process.Process.Pid) }

// killChildren kills the program that nsenter(1) runs.
func killChildren(nsenter int) {
	pid := strconv.Itoa(nsenter)
	children, _ := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	for _, child := range strings.Fields(string(children)) {
		if id, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(id, syscall.SIGKILL)
		}
	}
}
