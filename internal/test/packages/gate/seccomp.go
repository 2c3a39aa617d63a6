//go:build amd64

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A listener is the descriptor on which the kernel asks.
type listener int

// asked are the system calls that the kernel asks about, and which of their arguments are paths. Of those
// that open a file, it asks only if they may create or truncate one.
var asked = map[uint32]struct {
	name  string
	paths []int
}{
	unix.SYS_RENAME: {"rename", []int{0, 1}}, unix.SYS_RENAMEAT: {"rename", []int{1, 3}}, unix.SYS_RENAMEAT2: {"rename", []int{1, 3}},
	unix.SYS_LINK: {"link", []int{0, 1}}, unix.SYS_LINKAT: {"link", []int{1, 3}},
	unix.SYS_SYMLINK: {"symlink", []int{0, 1}}, unix.SYS_SYMLINKAT: {"symlink", []int{0, 2}},
	unix.SYS_UNLINK: {"unlink", []int{0}}, unix.SYS_UNLINKAT: {"unlink", []int{1}}, unix.SYS_RMDIR: {"rmdir", []int{0}},
	unix.SYS_MKDIR: {"mkdir", []int{0}}, unix.SYS_MKDIRAT: {"mkdir", []int{1}},
	unix.SYS_EXECVE: {"execute", []int{0}},
	unix.SYS_OPEN:   {"write", []int{0}}, unix.SYS_OPENAT: {"write", []int{1}}, unix.SYS_CREAT: {"write", []int{0}},
}

// Offsets in struct seccomp_data of seccomp(2).
const (
	callNumber = 0
	argument1  = 16 + 8*1
	argument2  = 16 + 8*2
)

// filter is a program of BPF: it has the kernel ask about the calls above.
func filter() []unix.SockFilter {
	const load, equal, anyBit, done = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const notify, allow = unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_RET_ALLOW
	program := []unix.SockFilter{{Code: load, K: callNumber}}
	for number := range asked {
		switch number {
		case unix.SYS_OPEN, unix.SYS_OPENAT:
			flags := uint32(argument1)
			if number == unix.SYS_OPENAT {
				flags = argument2
			}
			program = append(program,
				unix.SockFilter{Code: equal, Jf: 4, K: number},
				unix.SockFilter{Code: load, K: flags},
				unix.SockFilter{Code: anyBit, Jf: 1, K: unix.O_CREAT | unix.O_TRUNC},
				unix.SockFilter{Code: done, K: notify}, unix.SockFilter{Code: done, K: allow})
		default:
			program = append(program, unix.SockFilter{Code: equal, Jf: 1, K: number}, unix.SockFilter{Code: done, K: notify})
		}
	}
	return append(program, unix.SockFilter{Code: done, K: allow})
}

// ask puts the filter on the calling thread.
func ask() (listener, error) {
	program := filter()
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return 0, fmt.Errorf("cannot watch system calls: %w", errno)
	}
	return listener(fd), nil
}

// call is struct seccomp_notif of seccomp_unotify(2).
type call struct {
	id          uint64
	pid, flags  uint32
	number      uint32
	arch        uint32
	instruction uint64
	arguments   [6]uint64
}

func (l listener) receive() (call, error) {
	for {
		var c call // the kernel wants it zeroed
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&c)))
		switch errno {
		case 0:
			return c, nil
		case unix.EINTR, unix.ENOENT: // ENOENT: who called has been killed
		default:
			return c, fmt.Errorf("cannot hear of a system call: %w", errno)
		}
	}
}

// permit lets a call happen.
func (l listener) permit(c call) error {
	answer := struct {
		id    uint64
		value int64
		err   int32
		flags uint32
	}{id: c.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&answer)))
	if errno != 0 && errno != unix.ENOENT {
		return fmt.Errorf("cannot permit a system call: %w", errno)
	}
	return nil
}

// String is for people: "sed: rename /etc/pam.d/sedX /etc/pam.d/sshd".
func (c call) String() string {
	process := filepath.Join("/proc", strconv.Itoa(int(c.pid)))
	program, _ := os.ReadFile(filepath.Join(process, "comm"))
	said := []string{strings.TrimSpace(string(program)) + ":", asked[c.number].name}
	for _, i := range asked[c.number].paths {
		said = append(said, c.text(c.arguments[i]))
	}
	return strings.Join(said, " ")
}

// text reads a string in the memory of the process that calls.
func (c call) text(at uint64) string {
	memory, err := os.Open(filepath.Join("/proc", strconv.Itoa(int(c.pid)), "mem"))
	if err != nil {
		return "?"
	}
	defer memory.Close()
	buffer := make([]byte, unix.PathMax)
	n, _ := memory.ReadAt(buffer, int64(at)) // it may end before the buffer does
	text, _, _ := strings.Cut(string(buffer[:n]), "\x00")
	return text
}
