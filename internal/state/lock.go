package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// leaseTime is how long a lease lasts without Extend, on CLOCK_BOOTTIME.
const leaseTime = 5 * time.Second

// A waiter asks again after pollFirst, then ever more slowly up to pollLast.
const (
	pollFirst = 5 * time.Millisecond
	pollLast  = 50 * time.Millisecond
)

// giveBack is how long a taker may take to see that the owner is awake after all,
// and to give the name back: a few system calls.
const giveBack = 10 * time.Millisecond

// Locker hands out the engine lock: flock(2) on the file "lock" in the state
// folder, so that a dead owner's lock is gone by itself, with the owner's
// deadline written in the file, so that a stopped or hung owner's is not for ever.
//
// A waiter that finds the deadline passed exchanges the file for one that it
// holds (renameat2 with RENAME_EXCHANGE: ext4, xfs, btrfs, f2fs, tmpfs and
// overlayfs know it). The lock is the file that has the name, so that the old
// owner has lost it, and learns that from Extend.
//
// Two owners do not go on beside each other: an owner writes its new deadline and then
// looks whether its file still has the name; a taker exchanges the files and then looks
// whether the old one's record still is the expired one, else it gives back. Whatever
// the order, at least one of the two sees the other. A taker that is killed before it
// gives back leaves the name to a third one, and the owner learns so from its next
// Extend; until then what keeps the two apart is that each write compares first.
type Locker struct {
	dir     string
	program string
}

// NewLocker returns the locker of a state folder. The program ("shadowsync
// daemon") is what others are told of an owner.
func NewLocker(dir, program string) *Locker { return &Locker{dir: dir, program: program} }

func (l *Locker) path() string { return filepath.Join(l.dir, "lock") }

// Acquire waits for the engine lock until ctx ends. The error then names the owner.
func (l *Locker) Acquire(ctx context.Context) (shadowsync.Lease, error) {
	if err := prepareFolder(l.dir); err != nil {
		return nil, err
	}
	var w watcher
	for poll := pollFirst; ; poll = min(poll*3/2, pollLast) {
		err := ctx.Err()
		if err == nil {
			var got *lease
			if got, err = l.try(&w); err != nil {
				return nil, fmt.Errorf("cannot take the engine lock %s: %w: %w", l.path(), shadowsync.ErrUnavailable, err)
			}
			if got != nil {
				return got, nil
			}
			err = wait(ctx, poll)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot take the engine lock %s: %w: %s: %w", l.path(), shadowsync.ErrUnavailable, w.held(), err)
		}
	}
}

// try takes the lock if it is free or its owner's time is over. Neither a lease
// nor an error: somebody else has it.
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
	text, err := readRecord(f)
	if err != nil || !w.expired(f, text) {
		return nil, err
	}
	return l.takeOver(f, text)
}

// own makes a lease of a locked file, if that still has the name.
func (l *Locker) own(f *os.File) (*lease, error) {
	lease := &lease{path: l.path(), program: l.program, file: f}
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

// takeOver replaces the file old, whose record is expired, by one that is ours.
// A small lock of its own keeps takers from each other.
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

// replacement is a new lock file that is locked and says so before anybody sees it.
func (l *Locker) replacement() (*os.File, error) {
	if err := os.Remove(l.replacementPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := openLock(l.replacementPath(), os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(flock(f), writeRecord(f, l.program)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// errAwake: the owner whose time seemed over moved its deadline after all.
var errAwake = errors.New("the owner is awake")

// exchange gives the replacement the name, and takes that back if the owner of
// the old file had extended its lease before.
func (l *Locker) exchange(old *os.File, expired string) error {
	swap := func() error {
		err := unix.Renameat2(unix.AT_FDCWD, l.replacementPath(), unix.AT_FDCWD, l.path(), unix.RENAME_EXCHANGE)
		return os.NewSyscallError("renameat2", err)
	}
	if err := swap(); err != nil {
		return err
	}
	text, err := readRecord(old)
	if err == nil && text != expired {
		err = errAwake
	}
	if err != nil {
		err = errors.Join(err, swap())
	}
	return errors.Join(err, os.Remove(l.replacementPath()))
}

// lease is the lock as it is held.
type lease struct {
	path    string
	program string
	mu      sync.Mutex
	file    *os.File // nil: released
}

// Extend moves the deadline, then looks whether the lock still is ours: see Locker.
func (l *lease) Extend() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return fmt.Errorf("cannot extend the engine lock %s: %w", l.path, shadowsync.ErrLockLost)
	}
	err := writeRecord(l.file, l.program)
	same := false
	for end := time.Now().Add(giveBack); err == nil; time.Sleep(giveBack / 10) {
		if same, err = hasName(l.file, l.path); same || time.Now().After(end) {
			break
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("cannot extend the engine lock %s: %w: %w", l.path, shadowsync.ErrUnavailable, err)
	case !same:
		return fmt.Errorf("cannot extend the engine lock %s: %w", l.path, shadowsync.ErrLockLost)
	}
	return nil
}

// Release gives the lock back. The file stays: unlinking it would race with
// those who have it open already.
func (l *lease) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	_ = clearRecord(l.file) // or the next owner seems expired until it has written its own
	_ = l.file.Close()
	l.file = nil
}

// watcher is what a waiter has seen of the owner.
type watcher struct {
	text  string
	inode uint64
	since time.Duration
}

// expired tells whether the owner's time is over: its deadline passed, or, where
// the record cannot say that, nothing of it moved for a whole lease time.
func (w *watcher) expired(f *os.File, text string) bool {
	now := bootTime()
	inode := inodeOf(f)
	if text != w.text || inode != w.inode || w.since == 0 {
		w.text, w.inode, w.since = text, inode, now
	}
	if r, ok := parseRecord(text); ok && r.Boot == bootID() {
		return now > time.Duration(r.Deadline)
	}
	return now-w.since > leaseTime
}

func (w *watcher) held() string {
	r, ok := parseRecord(w.text)
	if !ok {
		return "held by another process"
	}
	return fmt.Sprintf("held by %s, process %d", printable.Clip(r.Program, 64), r.PID)
}
