package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// owner is what the lock file says of the one who holds it.
type owner struct {
	PID      int    `json:"pid"`
	Program  string `json:"program"`
	Boot     string `json:"boot"`     // the deadline is of this boot
	Deadline int64  `json:"deadline"` // CLOCK_BOOTTIME, in nanoseconds
}

// recordSize is what the record is padded to, so that one write replaces it whole.
const recordSize = 512

func openLock(path string, flags int) (*os.File, error) {
	// O_NONBLOCK: a FIFO in its place must not stop us. It means nothing for a file.
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|flags, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}

// writeRecord makes this process the owner for another lease time.
func writeRecord(f *os.File, program string) error {
	text, err := json.Marshal(owner{
		PID: os.Getpid(), Program: program[:min(len(program), 64)], Boot: bootID(), Deadline: int64(bootTime() + leaseTime),
	})
	if err != nil {
		return err
	}
	return writePadded(f, text)
}

func clearRecord(f *os.File) error { return writePadded(f, nil) }

func writePadded(f *os.File, text []byte) error {
	record := bytes.Repeat([]byte{' '}, recordSize)
	copy(record, text)
	record[recordSize-1] = '\n'
	_, err := f.WriteAt(record, 0)
	return err
}

func readRecord(f *os.File) (string, error) {
	record := make([]byte, recordSize)
	n, err := f.ReadAt(record, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(record[:n]), err
}

func parseRecord(text string) (owner, bool) {
	var o owner
	err := json.Unmarshal([]byte(text), &o)
	return o, err == nil && o.PID > 0
}

// hasName tells whether path still names the open file.
func hasName(f *os.File, path string) (bool, error) {
	here, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(here, there), err
}

func inodeOf(f *os.File) uint64 {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return 0
	}
	return st.Ino
}

// bootTime is the time since the boot, suspension included, which nobody can set.
func bootTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail: Linux has it since 2.6.39
	return time.Duration(ts.Nano())
}

// bootID tells boots apart; empty where /proc is missing, in a rescue chroot.
var bootID = sync.OnceValue(func() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(id))
})
