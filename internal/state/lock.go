package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/detect/boot"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// leaseTime is how long a lease lasts without Extend, on CLOCK_BOOTTIME.
const leaseTime = 5 * time.Second

// A waiter asks again after pollFirst, then at growing intervals up to pollLast.
const (
	pollFirst = 5 * time.Millisecond
	pollLast  = 50 * time.Millisecond
)

// giveBack is how long a taker may need to notice that the owner is still running, and to give the
// name back: a few system calls.
const giveBack = 10 * time.Millisecond

// Locker hands out the engine lock: flock(2) on the file "lock" in the state folder, so that
// the kernel releases a dead owner's lock. The owner's deadline is written in the file, so
// that a stopped or hung owner does not hold the lock for ever.
//
// A waiter that finds the deadline passed exchanges the file for one that it
// holds (renameat2 with RENAME_EXCHANGE: ext4, xfs, btrfs, f2fs, tmpfs and
// overlayfs support it). The lock is the file that has the name, so the old
// owner has lost it, and learns that from Extend.
//
// Two owners do not work at the same time: an owner writes its new deadline and then checks
// whether its file still has the name; a taker exchanges the files and then checks whether
// the old file still names the expired owner, and gives the name back if not. In every
// order at least one of the two sees the other. If a taker is killed before it gives back,
// the name goes to the next waiter, and the owner learns that from its next Extend. Until
// then two may believe that they own the lock; each of their writes compares before it writes.
type Locker struct {
	root, dir string
	program   string

	mu     sync.Mutex
	folder *inroot.Folder // nil until the first use
}

// NewLocker returns the locker of a state folder. Error messages of other processes show the
// program ("shadowsync daemon") of an owner.
func NewLocker(dir, program string) *Locker { return NewLockerIn("/", dir, program) }

// NewLockerIn is NewLocker in the system that is mounted at root.
func NewLockerIn(root, dir, program string) *Locker {
	return &Locker{root: root, dir: dir, program: program}
}

// prepare opens the folder once and keeps it, so that all users of this Locker use the same folder.
// In the running system, where the folder is its path, it looks again whether that is still there
// and ours alone.
func (l *Locker) prepare() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.folder != nil && (!inroot.Live(l.root) || bothOurs(l.dir) == nil) {
		return nil
	}
	folder, err := openFolder(l.root, l.dir)
	if err == nil && l.folder == nil {
		l.folder = folder
	}
	return err
}

func (l *Locker) path() string { return l.folder.Path("lock") }

// shown is the path for messages.
func (l *Locker) shown() string { return l.folder.Shown("lock") }

// Acquire waits for the engine lock until ctx ends. Then the error names the owner.
func (l *Locker) Acquire(ctx context.Context) (shadowsync.Lease, error) {
	if err := l.prepare(); err != nil {
		return nil, err
	}
	var w watcher
	for poll := pollFirst; ; poll = min(poll*3/2, pollLast) {
		err := ctx.Err()
		if err == nil {
			var got *lease
			if got, err = l.try(&w); err != nil {
				return nil, fmt.Errorf("cannot take the engine lock %s: %w: %w", l.shown(), shadowsync.ErrUnavailable, err)
			}
			if got != nil {
				return got, nil
			}
			err = wait(ctx, poll)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot take the engine lock %s: %w: %s: %w", l.shown(), shadowsync.ErrUnavailable, w.held(), err)
		}
	}
}

// try takes the lock if it is free or its owner's deadline has passed. If another process holds it,
// try returns neither a lease nor an error.
func (l *Locker) try(w *watcher) (*lease, error) {
	f, err := openLock(l.path(), os.O_CREATE)
	if err != nil {
		return nil, err
	}
	switch err := flock(f); {
	case err == nil:
		return l.own(f)
	case !errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(err, f.Close())
	}
	defer f.Close()
	text, err := readOwner(f)
	if err != nil || !w.expired(f, text) {
		return nil, err
	}
	return l.takeOver(f, text)
}

// own makes a lease of a locked file, if the file still has the name.
func (l *Locker) own(f *os.File) (*lease, error) {
	lease := &lease{path: l.path(), shown: l.shown(), program: l.program, file: f}
	err := lease.Extend()
	if err == nil {
		return lease, nil
	}
	lease.Release()
	if errors.Is(err, shadowsync.ErrLockLost) {
		err = nil
	}
	return nil, err
}

// takeOver replaces the file old, whose owner is expired, by one of ours. A second lock file keeps
// takers apart.
func (l *Locker) takeOver(old *os.File, expired string) (*lease, error) {
	small, err := openLock(l.path()+".takeover", os.O_CREATE)
	if err != nil {
		return nil, err
	}
	defer small.Close()
	if err := flock(small); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if same, err := hasName(old, l.path()); !same || err != nil {
		return nil, err
	}
	f, err := l.replacement()
	if err != nil {
		return nil, err
	}
	if err := l.exchange(old, expired); err != nil {
		_ = f.Close()
		if errors.Is(err, errAwake) {
			return nil, nil
		}
		return nil, err
	}
	return l.own(f)
}

func (l *Locker) replacementPath() string { return l.path() + ".new" }

// replacement creates a new lock file, which is locked and names its owner before it gets the name.
func (l *Locker) replacement() (*os.File, error) {
	if err := os.Remove(l.replacementPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := openLock(l.replacementPath(), os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(flock(f), writeOwner(f, l.program)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// errAwake: the owner whose deadline seemed over has extended it.
var errAwake = errors.New("the owner is awake")

// exchange gives the replacement the name, and undoes that if the owner of the old file had
// extended its lease before.
func (l *Locker) exchange(old *os.File, expired string) error {
	swap := func() error {
		err := unix.Renameat2(unix.AT_FDCWD, l.replacementPath(), unix.AT_FDCWD, l.path(), unix.RENAME_EXCHANGE)
		return os.NewSyscallError("renameat2", err)
	}
	if err := swap(); err != nil {
		return err
	}
	text, err := readOwner(old)
	if err == nil && text != expired {
		err = errAwake
	}
	if err != nil {
		err = errors.Join(err, swap())
	}
	return errors.Join(err, os.Remove(l.replacementPath()))
}

// lease is a held engine lock.
type lease struct {
	path    string
	shown   string // path for messages
	program string
	mu      sync.Mutex
	file    *os.File // nil: released
}

// Extend moves the deadline, then checks whether the lock is still ours: see Locker.
func (l *lease) Extend() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return fmt.Errorf("cannot extend the engine lock %s: %w", l.shown, shadowsync.ErrLockLost)
	}
	err := writeOwner(l.file, l.program)
	same := false
	for end := time.Now().Add(giveBack); err == nil; time.Sleep(giveBack / 10) {
		if same, err = hasName(l.file, l.path); same || time.Now().After(end) {
			break
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("cannot extend the engine lock %s: %w: %w", l.shown, shadowsync.ErrUnavailable, err)
	case !same:
		return fmt.Errorf("cannot extend the engine lock %s: %w", l.shown, shadowsync.ErrLockLost)
	}
	return nil
}

// Release gives the lock back. The file stays: unlinking it would race with processes that have it
// open already.
func (l *lease) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	_ = clearOwner(l.file) // otherwise the next owner seems expired until it has written itself
	_ = l.file.Close()
	l.file = nil
}

// watcher is what a waiter has seen of the owner.
type watcher struct {
	text  string
	inode uint64
	since time.Duration
}

// expired reports whether the owner's time is over: its deadline has passed or, if the file has
// no usable deadline, it did not change for a whole lease time.
func (w *watcher) expired(f *os.File, text string) bool {
	now := boot.Elapsed()
	inode := inodeOf(f)
	if text != w.text || inode != w.inode || w.since == 0 {
		w.text, w.inode, w.since = text, inode, now
	}
	if r, ok := parseOwner(text); ok && r.Boot == boot.ID() {
		return now > time.Duration(r.Deadline)
	}
	return now-w.since > leaseTime
}

func (w *watcher) held() string {
	r, ok := parseOwner(w.text)
	if !ok {
		return "held by another process"
	}
	return fmt.Sprintf("held by %s, process %d", printable.Clip(r.Program, 64), r.PID)
}
