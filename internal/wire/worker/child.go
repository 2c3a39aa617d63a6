package worker

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// FirstFile is where a child finds the first descriptor that Child handed over.
const FirstFile = "/proc/self/fd/3"

// Child starts a worker as a child of this process. It gets its connection, these files and nothing
// else. It cannot gain rights by an exec, and it ends with this process.
func Child(name string, files ...*os.File) (*Process, error) {
	p := &Process{}
	var err error
	p.Conn, err = Connect(func(stdin *os.File) error {
		if p.End, err = start(command(name, stdin, files)); err != nil {
			return fmt.Errorf("cannot start a worker: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func command(name string, stdin *os.File, files []*os.File) *exec.Cmd {
	// Not by its path: the user that it becomes may have no access there, and after an upgrade
	// another version would answer.
	cmd := exec.Command("/proc/self/exe", name)
	cmd.Args[0] = "shadowsync"
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin, cmd.ExtraFiles = stdin, files
	// In its own process group: Ctrl-C is for its parent, which decides when it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

// start starts the child and returns a function that kills and reaps it.
//
// The thread that starts the child lives as long as the child, for two reasons: the
// kernel sends the parent-death signal when that thread ends, and no_new_privs, which
// the child inherits, is set for that thread alone and must not affect others.
func start(cmd *exec.Cmd) (end func() error, err error) {
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(ended)
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err == nil {
			err = closeAllOnExec()
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // its exit status says nothing that its connection did not say
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return func() error { return kill(cmd.Process, ended) }, nil
}

// closeAllOnExec keeps descriptors that this process was started with, such as that of a password,
// from the child: Go marks only those that it opened itself. Since Linux 5.11 the kernel does it in
// one call, unless a sandbox denies it: those of older systemd and of containers do not know it.
func closeAllOnExec() error {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	entries, err := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return err
}

// kill waits for the end of the process, but only for a second: a process in a call to a dead disk
// or server ends when that call ends.
func kill(process *os.Process, ended <-chan struct{}) error {
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(time.Second):
		return fmt.Errorf("the worker (process %d) cannot be killed yet", process.Pid)
	}
}
