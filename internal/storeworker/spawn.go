package storeworker

import (
	"context"
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

	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Owner returns the uid and gid that a worker for this store must run with: those of
// the store file, or of its folder while the file is missing.
func Owner(options store.Options) (safefile.Identity, error) {
	return safefile.Place{Root: options.Root, Path: options.Path}.Owner()
}

// Open opens a store where its driver belongs: in this process, or in a worker
// that is its child.
func Open(ctx context.Context, options store.Options) (shadowsync.CredentialStore, error) {
	d, err := store.Find(options.Driver)
	if err != nil {
		return nil, err
	}
	if d.Placement(options) == driver.InProcess {
		return d.Open(ctx, options)
	}
	c, err := Spawn(ctx, options)
	if err != nil {
		return nil, err // a nil *Client would not be a nil interface
	}
	return c, nil
}

// Spawn starts a worker as a child with no environment and no descriptor but its
// connection and the root of a mounted system, and opens the store in it. The child finds
// the store file's owner and becomes that: where this hangs in the kernel, no process
// could end before the hang does, and this one must. It ends with Close, and with this process.
func Spawn(ctx context.Context, options store.Options) (*Client, error) {
	conn, theirs, err := socket.Pair()
	if err != nil {
		return nil, driver.Unavailable(err)
	}
	cmd := command(theirs)
	root, err := handOver(cmd, &options)
	if err != nil {
		return nil, errors.Join(err, conn.Close(), theirs.Close())
	}
	stop, err := start(cmd)
	// Or the end of a worker that cannot open the store would not be seen here.
	_, _ = theirs.Close(), root.Close()
	if err != nil {
		_ = conn.Close()
		return nil, driver.Unavailable(fmt.Errorf("cannot start a store worker: %w", err))
	}
	return connect(ctx, conn, request{Options: &options, Become: true}, stop)
}

func command(stdin *os.File) *exec.Cmd {
	// Not by its path: the owner may have no access there, and after an upgrade
	// another version would answer.
	cmd := exec.Command("/proc/self/exe", Command)
	cmd.Args[0] = "shadowsync"
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdin = stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// childRoot is the path of the first descriptor after the standard ones.
const childRoot = "/proc/self/fd/3"

// handOver opens the root of a mounted system for the child. It may be mounted where
// the store's owner has no access: below /root, or in a folder of mktemp(1).
func handOver(cmd *exec.Cmd, options *store.Options) (root *os.File, err error) {
	if options.Root == "" || options.Root == "/" {
		return nil, nil
	}
	root, err = os.OpenFile(options.Root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, driver.Unavailable(err)
	}
	cmd.ExtraFiles, options.Root = []*os.File{root}, childRoot
	return root, nil
}

// start starts the child and returns what kills and reaps it.
//
// The thread that starts it lives as long as the child does, for two reasons: the
// parent-death signal is sent at the end of that thread, and no_new_privs, which
// the child inherits, is of that thread alone and must not come upon others.
func start(cmd *exec.Cmd) (stop func() error, err error) {
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
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
			_ = cmd.Wait() // how it ended says nothing that its connection did not say
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return func() error { return kill(cmd.Process, ended) }, nil
}

// closeAllOnExec keeps from the child what this process was started with, such
// as the descriptor of a password: Go marks only what it opened itself. The kernel
// does it since Linux 5.11.
func closeAllOnExec() error {
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	entries, err := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return err
}

// kill waits for the end, but not for ever: a process in the middle of a call
// to a dead disk or server ends when that does.
func kill(process *os.Process, ended <-chan struct{}) error {
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(time.Second):
		return fmt.Errorf("the store's worker (process %d) cannot be killed yet", process.Pid)
	}
}
