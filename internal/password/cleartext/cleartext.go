// Package cleartext treats the clear text of a new password in this process: it keeps the memory out of
// swap and core dumps, and generates, checks and wipes the text. A clear text is a []byte of fixed
// capacity: strings and growing slices would leave copies behind.
package cleartext

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"golang.org/x/sys/unix"
)

// ErrNewline: nobody can type it at a login.
var ErrNewline = errors.New("password contains a newline")

// Check returns why a clear text cannot be a password.
func Check(token []byte) error {
	switch {
	case len(token) == 0:
		return crypt.ErrTokenEmpty
	case len(token) > crypt.MaxToken:
		return crypt.ErrTokenTooLong
	case bytes.IndexByte(token, 0) >= 0:
		return crypt.ErrTokenNUL
	case bytes.IndexByte(token, '\n') >= 0:
		return ErrNewline
	}
	return nil
}

// ByteOrderMark is what some editors write at the start of UTF-8 text. It is invisible, and nobody
// means it as part of a password.
var ByteOrderMark = []byte("\ufeff")

// TrimReturn removes one CR from the end of a line.
func TrimReturn(line []byte) []byte { return bytes.TrimSuffix(line, []byte("\r")) }

// Harden keeps the clear text that this process will hold out of core dumps and, if the limit allows
// that, out of swap, and keeps other processes from reading its memory. Children inherit the core
// limit. A container may forbid some of these calls; it does what it can all the same.
func Harden() error {
	err := errors.Join(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0), unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
	// MCL_ONFAULT, because Go reserves far more address space than it uses, and filling it would
	// take longer than the whole work. A low RLIMIT_MEMLOCK is no reason to lose a change.
	memoryLocked = unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT) == nil
	if err != nil {
		return fmt.Errorf("cannot keep the memory private: %w", err)
	}
	return nil
}

// memoryLocked reports whether the memory is kept out of swap.
var memoryLocked bool

// HardenCrowd prepares the hashing of many passwords: the kernel locks new mappings as a whole.
// yescrypt maps 16 MiB per hash, and locking page by page on first touch makes the work 5 % slower.
// The price is 8 MiB of stack for each further thread.
func HardenCrowd() {
	if memoryLocked {
		_ = unix.Mlockall(unix.MCL_FUTURE) // existing mappings keep their mode
	}
}

// Wipe overwrites a token, up to its capacity.
func Wipe(token []byte) {
	clear(token[:cap(token)])
	runtime.KeepAlive(token)
}
