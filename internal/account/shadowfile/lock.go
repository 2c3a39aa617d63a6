package shadowfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
	"golang.org/x/sys/unix"
)

// The files of the two locks, in the order in which shadow-utils takes them. pam_unix takes only
// lckpwdf(3). The tools of shadow-utils take it first and then try each per-file lock once, without
// another attempt: a process that held only shadow.lock would make them fail. Tools that also write
// passwd take passwd.lock between the two, so the order is the same for all.
const (
	pwdLockName = ".pwd.lock"
	lockSuffix  = ".lock" // after the name of the file
)

// The pauses between attempts. The kernel wakes a waiting lckpwdf(3) at once, so with long pauses
// it would always be faster than this package.
const (
	firstPause = time.Millisecond
	lastPause  = 16 * time.Millisecond
)

// lock is the right to replace a file of the etc folder.
type lock struct {
	tree *tree
	pwd  *os.File
	name string // of the file
}

// busyError names the holder of a lock.
type busyError struct {
	path string
	pid  int // 0: the kernel does not say
}

func (e *busyError) Error() string {
	if e.pid <= 0 {
		return e.path + " is held by another process"
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", e.pid))
	if err != nil {
		return fmt.Sprintf("%s is held by process %d", e.path, e.pid)
	}
	return fmt.Sprintf("%s is held by process %d (%q)", e.path, e.pid, strings.TrimSpace(string(comm)))
}

// lock takes both locks, or neither: while one is busy it does not keep the other, since passwd(1)
// would then wait for an unrelated process. It waits until ctx ends; then the error wraps
// shadowsync.ErrUnavailable and names the holder.
func (t *tree) lock(ctx context.Context, name string) (*lock, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		l, err := t.tryLock(name)
		var busy *busyError
		if !errors.As(err, &busy) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot lock %s: %w: %w: %w", t.path(name), busy, shadowsync.ErrUnavailable, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (t *tree) tryLock(name string) (*lock, error) {
	pwd, err := t.lockPwd()
	if err != nil {
		return nil, err
	}
	if err := t.lockName(name); err != nil {
		return nil, errors.Join(err, unlockPwd(pwd))
	}
	return &lock{t, pwd, name}, nil
}

// release releases the locks in reverse order.
func (l *lock) release() error {
	var err error
	if e := unix.Unlinkat(int(l.tree.etc.Fd()), l.name+lockSuffix, 0); e != nil {
		err = failed("unlock", l.tree.path(l.name+lockSuffix), e)
	}
	return errors.Join(err, unlockPwd(l.pwd))
}

// lockPwd takes the lock of lckpwdf(3) as an open-file-description lock. It conflicts with that
// function's POSIX lock but belongs to this descriptor: it also excludes other threads, and does
// not vanish when one of them closes the file.
func (t *tree) lockPwd() (*os.File, error) {
	path := t.path(pwdLockName)
	fd, err := unix.Openat(int(t.etc.Fd()), pwdLockName, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, failed("lock", path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &whole)
	if err == nil {
		return file, nil
	}
	defer file.Close()
	if err != unix.EAGAIN && err != unix.EACCES {
		return nil, failed("lock", path, err)
	}
	busy := &busyError{path: path}
	holder := unix.Flock_t{Type: unix.F_WRLCK}
	if unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &holder) == nil && holder.Type != unix.F_UNLCK {
		busy.pid = int(holder.Pid)
	}
	return nil, busy
}

// unlockPwd unlocks before it closes: a child between fork and exec still has the descriptor, and
// would keep the lock.
func unlockPwd(file *os.File) error {
	defer file.Close()
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK}); err != nil {
		return failed("unlock", file.Name(), err)
	}
	return nil
}

// lockName takes the per-file lock as commonio.c of shadow-utils does: it links a file with this
// process's pid to the lock's name, which succeeds only for one process. It removes a lock whose
// process is dead; that is safe because .pwd.lock is held.
func (t *tree) lockName(name string) error {
	etc, lockFile := int(t.etc.Fd()), name+lockSuffix
	own := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := t.writePID(own); err != nil {
		return err
	}
	defer unix.Unlinkat(etc, own, 0)
	err := unix.Linkat(etc, own, etc, lockFile, 0)
	if err == unix.EEXIST {
		if err := t.breakStale(name); err != nil {
			return err
		}
		err = unix.Linkat(etc, own, etc, lockFile, 0)
	}
	if err == unix.EEXIST {
		return &busyError{path: t.path(lockFile)}
	}
	if err != nil {
		return failed("lock", t.path(lockFile), err)
	}
	return nil
}

// writePID writes a file with this process's pid and a NUL, as shadow-utils does. It syncs the
// file: a lock that a power loss left empty names no process that could be found dead, and would
// stop every tool until a person removes it.
func (t *tree) writePID(name string) error {
	etc := int(t.etc.Fd())
	if err := unix.Unlinkat(etc, name, 0); err != nil && err != unix.ENOENT {
		return failed("lock", t.path(name), err)
	}
	fd, err := unix.Openat(etc, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return failed("lock", t.path(name), err)
	}
	file := os.NewFile(uintptr(fd), t.path(name))
	_, err = file.WriteString(strconv.Itoa(os.Getpid()) + "\x00")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = unix.Unlinkat(etc, name, 0)
		return fmt.Errorf("cannot lock: %w", err)
	}
	return nil
}

// breakStale removes the per-file lock of a process that has exited. A person must remove a lock
// that names no process, as with shadow-utils.
func (t *tree) breakStale(name string) error {
	path := t.path(name + lockSuffix)
	pid, written, err := t.lockOwner(name)
	if errors.Is(err, unix.ENOENT) {
		return nil // released meanwhile
	}
	if err != nil {
		return fmt.Errorf("cannot lock %s: %w: %w", t.path(name), err, shadowsync.ErrUnavailable)
	}
	if t.mayHold(pid, written) {
		return &busyError{path, pid}
	}
	if err := unix.Unlinkat(int(t.etc.Fd()), name+lockSuffix, 0); err != nil && err != unix.ENOENT {
		return failed("remove a stale lock", path, err)
	}
	return nil
}

// mayHold reports whether the process with that pid may have written the lock at that time.
func (t *tree) mayHold(pid int, written time.Time) bool {
	// A lock with this process's own pid is left from an earlier process: this one has only now
	// taken .pwd.lock.
	if pid == os.Getpid() || unix.Kill(pid, 0) == unix.ESRCH {
		return false
	}
	if inroot.Live(t.root) {
		return true
	}
	// The pid may be from the machine that last ran the mounted system. A process of this machine
	// can only hold the lock if it has that system as its root, or began before the lock was
	// written.
	if theirs, err := os.Stat(fmt.Sprintf("/proc/%d/root", pid)); err == nil {
		if ours, err := os.Stat(t.root); err == nil && os.SameFile(ours, theirs) {
			return true
		}
	}
	began := origin.Began(origin.Started(pid))
	return began.IsZero() || began.Before(written.Add(time.Second)) // clock ticks are coarse
}

// lockOwner returns the process that the lock names, and when the lock was written.
func (t *tree) lockOwner(name string) (pid int, written time.Time, err error) {
	path := t.path(name + lockSuffix)
	fd, err := unix.Openat(int(t.etc.Fd()), name+lockSuffix, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, written, failed("open", path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, written, failed("open", path, err)
	}
	buffer := make([]byte, 31)
	n, _ := file.Read(buffer)
	text, _, _ := strings.Cut(string(buffer[:n]), "\x00")
	pid, err = strconv.Atoi(text)
	if err != nil || pid < 1 {
		return 0, written, fmt.Errorf("%s names no process; remove it if nothing changes accounts now", path)
	}
	return pid, info.ModTime(), nil
}
