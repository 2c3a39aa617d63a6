package shadowfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
	"golang.org/x/sys/unix"
)

// The files of the two locks, in the order in which shadow-utils takes them.
// lckpwdf(3) is what pam_unix takes, and nothing else; the tools of shadow-utils
// take it first and then try each per-file lock once, without another attempt:
// whoever held shadow.lock alone would make them fail. Tools that write passwd
// too take passwd.lock between the two, so the order is the same for all.
const (
	pwdLockName    = ".pwd.lock"
	shadowLockName = "shadow.lock"
)

// The pauses between attempts. A sleeping lckpwdf(3) is woken by the kernel and
// so would always come before us if we slept long.
const (
	firstPause = time.Millisecond
	lastPause  = 16 * time.Millisecond
)

// lock is the right to replace the shadow file.
type lock struct {
	tree *tree
	pwd  *os.File
}

// busyError says who holds a lock.
type busyError struct {
	path string
	pid  int // 0: the kernel does not tell
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

// lock takes both locks, or neither: while one is busy the other is not kept, or
// a passwd(1) would wait for a process that it has nothing to do with. It waits
// until ctx ends; then the error wraps shadowsync.ErrUnavailable and names the holder.
func (t *tree) lock(ctx context.Context) (*lock, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		l, err := t.tryLock()
		var busy *busyError
		if !errors.As(err, &busy) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot lock %s: %w: %w: %w", t.path(shadowName), busy, shadowsync.ErrUnavailable, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (t *tree) tryLock() (*lock, error) {
	pwd, err := t.lockPwd()
	if err != nil {
		return nil, err
	}
	if err := t.lockShadow(); err != nil {
		return nil, errors.Join(err, unlockPwd(pwd))
	}
	return &lock{t, pwd}, nil
}

// release gives the locks back in reverse order.
func (l *lock) release() error {
	var err error
	if e := unix.Unlinkat(int(l.tree.etc.Fd()), shadowLockName, 0); e != nil {
		err = failed("unlock", l.tree.path(shadowLockName), e)
	}
	return errors.Join(err, unlockPwd(l.pwd))
}

// lockPwd takes the lock of lckpwdf(3) as an open-file-description lock, which
// conflicts with that function's POSIX lock but belongs to this descriptor: it
// excludes other threads too, and does not vanish when another one closes the file.
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

// unlockPwd unlocks before it closes: a child between fork and exec still has the
// descriptor, and with it the lock.
func unlockPwd(file *os.File) error {
	defer file.Close()
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK}); err != nil {
		return failed("unlock", file.Name(), err)
	}
	return nil
}

// lockShadow takes the per-file lock as commonio.c of shadow-utils does: a file
// that holds our pid is linked to the lock's name, which only one can do. A lock
// whose process is dead is removed; that is safe because .pwd.lock is held.
func (t *tree) lockShadow() error {
	etc := int(t.etc.Fd())
	own := fmt.Sprintf("%s.%d", shadowName, os.Getpid())
	if err := t.writePID(own); err != nil {
		return err
	}
	defer unix.Unlinkat(etc, own, 0)
	err := unix.Linkat(etc, own, etc, shadowLockName, 0)
	if err == unix.EEXIST {
		if err := t.breakStale(); err != nil {
			return err
		}
		err = unix.Linkat(etc, own, etc, shadowLockName, 0)
	}
	if err == unix.EEXIST {
		return &busyError{path: t.path(shadowLockName)}
	}
	if err != nil {
		return failed("lock", t.path(shadowLockName), err)
	}
	return nil
}

// writePID writes a file with our pid and a NUL, which shadow-utils writes too. It
// is synced, for a lock that a power loss left empty names nobody who could be
// found dead, and would stop every tool until a person removes it.
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

// breakStale removes the per-file lock of a process that is no more. A lock that
// names no process is left to a person, as shadow-utils leaves it.
func (t *tree) breakStale() error {
	path := t.path(shadowLockName)
	pid, err := t.lockOwner()
	if errors.Is(err, unix.ENOENT) {
		return nil // released meanwhile
	}
	if err != nil {
		return fmt.Errorf("cannot lock %s: %w: %w", t.path(shadowName), err, shadowsync.ErrUnavailable)
	}
	// Our own pid there is that of a process before us: we hold .pwd.lock.
	if pid != os.Getpid() && unix.Kill(pid, 0) != unix.ESRCH {
		return &busyError{path, pid}
	}
	if err := unix.Unlinkat(int(t.etc.Fd()), shadowLockName, 0); err != nil && err != unix.ENOENT {
		return failed("remove a stale lock", path, err)
	}
	return nil
}

func (t *tree) lockOwner() (int, error) {
	path := t.path(shadowLockName)
	fd, err := unix.Openat(int(t.etc.Fd()), shadowLockName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, failed("open", path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	buffer := make([]byte, 31)
	n, _ := file.Read(buffer)
	text, _, _ := strings.Cut(string(buffer[:n]), "\x00")
	pid, err := strconv.Atoi(text)
	if err != nil || pid < 1 {
		return 0, fmt.Errorf("%s names no process; remove it if nothing changes accounts now", path)
	}
	return pid, nil
}
