package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/detect/boot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// holdLock takes the lock, reports it, and extends it for each line of input.
func holdLock(dir string) {
	lease, err := NewLocker(dir, "test holder").Acquire(context.Background())
	fmt.Println("held", err)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(errors.Is(lease.Extend(), shadowsync.ErrLockLost))
	}
}

// holder is a child that holds the lock; tell makes it extend its lease.
type holder struct {
	*exec.Cmd
	lines *bufio.Scanner
	in    *os.File
}

func startHolder(t *testing.T, dir string) holder {
	t.Helper()
	cmd := child(t, "hold", dir)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	h := holder{cmd, bufio.NewScanner(out), w}
	if line := h.next(); line != "held <nil>" {
		t.Fatalf("the child says %q", line)
	}
	return h
}

func (h holder) next() string {
	h.lines.Scan()
	return h.lines.Text()
}

func acquire(t testing.TB, l *Locker, within time.Duration) (shadowsync.Lease, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return l.Acquire(ctx)
}

func mustAcquire(t testing.TB, l *Locker, within time.Duration) shadowsync.Lease {
	t.Helper()
	lease, err := acquire(t, l, within)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lease.Release)
	return lease
}

func TestLockIsExclusive(t *testing.T) {
	l := NewLocker(filepath.Join(t.TempDir(), "new"), "shadowsync daemon")
	before := runtime.NumGoroutine()
	lease := mustAcquire(t, l, time.Second)
	_, err := acquire(t, l, 50*time.Millisecond)
	if !errors.Is(err, shadowsync.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if want := fmt.Sprintf("held by shadowsync daemon, process %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines left behind", n-before)
	}
	lease.Release()
	lease.Release()
	if err := lease.Extend(); !errors.Is(err, shadowsync.ErrLockLost) {
		t.Errorf("after release: %v", err)
	}
	if err := mustAcquire(t, l, time.Second).Extend(); err != nil {
		t.Error(err)
	}
}

func TestLockOfADeadOwnerIsFree(t *testing.T) {
	dir := t.TempDir()
	h := startHolder(t, dir)
	l := NewLocker(dir, "test")
	if _, err := acquire(t, l, 30*time.Millisecond); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("held by test holder, process %d", h.Process.Pid)) {
		t.Errorf("got %v", err)
	}
	if err := h.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	mustAcquire(t, l, time.Second)
}

func TestLockOfAStoppedOwnerIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	h := startHolder(t, dir)
	if err := h.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Several want the lock, each at its own pace: only one at a time has it.
	var holding, most, had atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			lease, err := acquire(t, NewLocker(dir, "taker"), 2*leaseTime)
			if err != nil {
				t.Error(err)
				return
			}
			most.Store(max(most.Load(), holding.Add(1)))
			had.Add(1)
			time.Sleep(5 * time.Millisecond) // it holds the lock for a while
			if err := lease.Extend(); err != nil {
				t.Error(err)
			}
			holding.Add(-1)
			lease.Release()
		})
	}
	all.Wait()
	if most.Load() != 1 || had.Load() != 4 {
		t.Errorf("%d had it, %d at once", had.Load(), most.Load())
	}
	mine := mustAcquire(t, NewLocker(dir, "test"), time.Second)
	if err := h.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(h.in)
	if lost := h.next(); lost != "true" {
		t.Errorf("the owner that woke was told %q, want that it lost the lock", lost)
	}
	if err := mine.Extend(); err != nil {
		t.Errorf("and disturbed the new owner: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "lock.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// expire writes an expired record for the present owner, as if it had been stopped for long.
func expire(t *testing.T, of shadowsync.Lease) *lease {
	t.Helper()
	own := of.(*lease)
	text := fmt.Sprintf(`{"pid":%d,"program":"old","boot":%q,"deadline":1}`, os.Getpid(), boot.ID())
	if err := writePadded(own.file, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return own
}

func TestAnOwnerThatWakesInTimeKeepsTheLock(t *testing.T) {
	l := NewLocker(t.TempDir(), "test")
	own := expire(t, mustAcquire(t, l, time.Second))
	seen, err := readOwner(own.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Extend(); err != nil { // after the taker looked, before it exchanges
		t.Fatal(err)
	}
	if taken, err := l.takeOver(own.file, seen); taken != nil || err != nil {
		t.Fatalf("taken over: %v, %v", taken, err)
	}
	if err := own.Extend(); err != nil {
		t.Errorf("the owner lost it: %v", err)
	}
}

func TestTakeOverNeedsTheRightFile(t *testing.T) {
	l := NewLocker(t.TempDir(), "test")
	first := expire(t, mustAcquire(t, l, time.Second))
	seen, _ := readOwner(first.file)
	second := mustAcquire(t, l, time.Second) // takes over
	if taken, err := l.takeOver(first.file, seen); taken != nil || err != nil {
		t.Errorf("took a file that is not the lock: %v, %v", taken, err)
	}
	if err := second.Extend(); err != nil {
		t.Error(err)
	}
	if err := first.Extend(); !errors.Is(err, shadowsync.ErrLockLost) {
		t.Errorf("the first was told %v", err)
	}
}

// An owner that was stopped before it wrote its record, or that wrote nonsense.
func TestAnUnknownOwnerIsWaitedForOneLeaseTime(t *testing.T) {
	l := NewLocker(t.TempDir(), "test")
	own := mustAcquire(t, l, time.Second).(*lease)
	if err := clearOwner(own.file); err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(t, l, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("at once: %v", err)
	}
	mustAcquire(t, l, 2*leaseTime)
	if err := own.Extend(); !errors.Is(err, shadowsync.ErrLockLost) {
		t.Errorf("the first was told %v", err)
	}
}

// TestTakeOverUnderContention lets all owners expire each other many times: never may two believe
// at once that they hold the lock and be right.
func TestTakeOverUnderContention(t *testing.T) {
	dir := t.TempDir()
	var turns, lost atomic.Int32
	var inside sync.Mutex
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			for range 40 {
				got, err := acquire(t, NewLocker(dir, "test"), 20*time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				if !inside.TryLock() {
					t.Error("two hold the lock")
					return
				}
				turns.Add(1)
				if err := got.Extend(); err != nil {
					t.Error(err)
				}
				inside.Unlock()
				own := expire(t, got)        // from here on it may be taken at any time
				time.Sleep(time.Millisecond) // another may take it meanwhile
				if own.Extend() != nil {
					lost.Add(1)
				}
				own.Release()
			}
		})
	}
	all.Wait()
	if turns.Load() != 240 || lost.Load() == 0 {
		t.Errorf("%d turns, %d of them lost", turns.Load(), lost.Load())
	}
}

// TestLockLooksAtItsFolder: at each use, not only at the first.
func TestLockLooksAtItsFolder(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, "state")
	l := NewLocker(dir, "test")
	mustAcquire(t, l, time.Second).Release()
	for _, folder := range []string{home, dir} {
		if err := os.Chmod(folder, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := acquire(t, l, time.Second); err == nil || !strings.Contains(err.Error(), folder+": mode 0777 lets others write") {
			t.Errorf("%s is anybody's: %v", folder, err)
		}
		if err := os.Chmod(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		mustAcquire(t, l, time.Second).Release()
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	mustAcquire(t, l, time.Second).Release()
}

func TestLockRefusesASymlink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(t, NewLocker(dir, "test"), time.Second); !errors.Is(err, unix.ELOOP) {
		t.Errorf("got %v", err)
	}
}
