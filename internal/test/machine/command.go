package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machinePath is root's PATH on Debian.
const machinePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A Command is what to run on a machine. It does not inherit the host's environment and has no
// login session: it runs like a root shell on a console without logind. For a session, log in
// (Login, SSH).
type Command struct {
	Args  []string
	User  string     // root if empty; real, effective and saved ids and all groups
	Input string     // standard input
	Files []*os.File // open in the command as descriptors 3 and up
	Env   []string   // added to PATH, HOME, USER, LOGNAME, SHELL, LANG and TERM
}

// Shell is the command that runs a script with sh -c.
func Shell(script string) Command { return Command{Args: []string{"/bin/sh", "-c", script}} }

// A Result is the output and the status of a finished command.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status, 128+N for signal N
}

func (r Result) String() string {
	return fmt.Sprintf("exit %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
}

// Exec runs a command and waits for it. A status other than 0 is not an error. If ctx ends first,
// the command and its process group are killed.
func (m *Machine) Exec(ctx context.Context, command Command) (Result, error) {
	process, err := m.prepare(ctx, command)
	if err != nil {
		return Result{}, err
	}
	var stdout, stderr bytes.Buffer
	process.Stdin, process.Stdout, process.Stderr = strings.NewReader(command.Input), &stdout, &stderr
	if err = m.startIn(process); err == nil {
		err = process.Wait()
	}
	result := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	if ctx.Err() != nil {
		return result, fmt.Errorf("cannot run %q: %w; so far: %s", command.Args, context.Cause(ctx), result)
	}
	var exit *exec.ExitError
	// ErrWaitDelay: the command has ended, but a child such as a daemon keeps its output open.
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return result, fmt.Errorf("cannot run %q: %w", command.Args, err)
	}
	result.Code = exitCode(process)
	return result, nil
}

func exitCode(process *exec.Cmd) int {
	if status, ok := process.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return process.ProcessState.ExitCode()
}

// do runs a command that must succeed and returns its standard output.
func (m *Machine) do(ctx context.Context, command Command) (string, error) {
	result, err := m.Exec(ctx, command)
	if err == nil && result.Code != 0 {
		err = fmt.Errorf("cannot run %q: %s", command.Args, result)
	}
	return result.Stdout, err
}

// prepare makes a process that joins all of the machine's namespaces, in its own process group.
func (m *Machine) prepare(ctx context.Context, command Command) (*exec.Cmd, error) {
	b, err := m.life()
	if err != nil {
		return nil, fmt.Errorf("cannot run %q: %w", command.Args, err)
	}
	environment, become, err := m.identity(ctx, command.User)
	if err != nil {
		return nil, err
	}
	args := append([]string{"--target=" + strconv.Itoa(b.leader), "--all", "--"}, become...)
	process := exec.CommandContext(ctx, "nsenter", append(args, command.Args...)...)
	process.Env = append(environment, command.Env...)
	process.ExtraFiles = command.Files
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process.Cancel = func() error { return syscall.Kill(-process.Process.Pid, syscall.SIGKILL) }
	process.WaitDelay = 2 * time.Second
	return process, nil
}

// startIn starts the process in the machine's cgroup, so that a power loss ends it too and a
// shutdown does not wait for it.
func (m *Machine) startIn(process *exec.Cmd) error {
	b, err := m.life()
	if err != nil {
		return err
	}
	group, err := m.cgroup.open("payload/commands")
	if err != nil {
		return err
	}
	defer group.Close()
	process.SysProcAttr.UseCgroupFD, process.SysProcAttr.CgroupFD = true, int(group.Fd())
	if err := process.Start(); err != nil {
		return err
	}
	go letGo(process.Process.Pid, b.leader)
	return nil
}

// identity returns a user's environment and the command prefix that switches to the user.
func (m *Machine) identity(ctx context.Context, user string) (environment, become []string, err error) {
	name, home, shell := "root", "/root", "/bin/bash"
	if user != "" && user != "root" {
		entry, err := m.passwdEntry(ctx, user)
		if err != nil {
			return nil, nil, err
		}
		name, home, shell = user, entry[5], entry[6]
		become = []string{"setpriv", "--reuid=" + entry[2], "--regid=" + entry[3], "--init-groups", "--"}
	}
	return []string{
		"PATH=" + machinePath, "HOME=" + home, "USER=" + name, "LOGNAME=" + name, "SHELL=" + shell,
		"LANG=C.UTF-8", "TERM=xterm",
	}, become, nil
}

// passwdEntry returns the seven fields of the user's line in passwd(5).
func (m *Machine) passwdEntry(ctx context.Context, user string) ([]string, error) {
	passwd, err := m.ReadFile(ctx, "/etc/passwd")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(passwd)) {
		if field := strings.Split(strings.TrimSuffix(line, "\n"), ":"); len(field) == 7 && field[0] == user {
			return field, nil
		}
	}
	return nil, fmt.Errorf("cannot find user %q on the machine", user)
}
