package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/detect/boot"
)

// owner is the lock file's text about its holder.
type owner struct {
	PID      int    `json:"pid"`
	Program  string `json:"program"`
	Boot     string `json:"boot"`     // the boot to which the deadline belongs
	Deadline int64  `json:"deadline"` // CLOCK_BOOTTIME, in nanoseconds
}

// ownerSize is the padded size of that text, so that one write replaces all of it.
const ownerSize = 512

func openLock(path string, flags int) (*os.File, error) {
	// O_NONBLOCK: a FIFO in its place must not block us. For a regular file it has no effect.
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

// writeOwner makes this process the owner for another lease time.
func writeOwner(f *os.File, program string) error {
	text, err := json.Marshal(owner{
		PID: os.Getpid(), Program: program[:min(len(program), 64)], Boot: boot.ID(), Deadline: int64(boot.Elapsed() + leaseTime),
	})
	if err != nil {
		return err
	}
	return writePadded(f, text)
}

func clearOwner(f *os.File) error { return writePadded(f, nil) }

func writePadded(f *os.File, text []byte) error {
	padded := bytes.Repeat([]byte{' '}, ownerSize)
	copy(padded, text)
	padded[ownerSize-1] = '\n'
	_, err := f.WriteAt(padded, 0)
	return err
}

func readOwner(f *os.File) (string, error) {
	padded := make([]byte, ownerSize)
	n, err := f.ReadAt(padded, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(padded[:n]), err
}

func parseOwner(text string) (owner, bool) {
	var o owner
	err := json.Unmarshal([]byte(text), &o)
	return o, err == nil && o.PID > 0
}

// hasName reports whether path still names the open file.
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
