package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoWriters means that the kernel does not tell who writes: no CAP_SYS_ADMIN,
// no fanotify, or a file system that has none. One goes on without.
var ErrNoWriters = errors.New("the kernel does not tell who writes")

// Writers tells who writes to a file in folder, and again who closes it after that, until ctx ends.
// It calls seen at once, in the goroutine that reads the events, so that /proc can be read
// while the process still lives: chpasswd ends right after it closed its file, and
// is in fsync(2) before. Events wait meanwhile, so seen is to be quick. Only files
// whose name match accepts are told, and never this process's own.
//
// The name is the one the file has when the event is read: who writes
// /etc/shadow+ and renames it may be seen with "shadow+" or with "shadow", and
// match accepts both. The pid is as this process's pid namespace knows it, 0 from outside.
//
// The folder is the one at that path now: after an [Event] with Rescan start
// anew. A nil error means that it runs; [ErrNoWriters] that there is nothing to be had.
func Writers(ctx context.Context, folder string, match func(name string) bool, seen func(pid int, name string)) error {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK,
		unix.O_RDONLY|unix.O_LARGEFILE|unix.O_CLOEXEC)
	if err != nil {
		return fmt.Errorf("%w: fanotify_init: %w", ErrNoWriters, err)
	}
	f := os.NewFile(uintptr(fd), "fanotify")
	err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_ONLYDIR,
		unix.FAN_MODIFY|unix.FAN_CLOSE_WRITE|unix.FAN_EVENT_ON_CHILD, unix.AT_FDCWD, folder)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %s: %w", ErrNoWriters, folder, err), f.Close())
	}
	context.AfterFunc(ctx, func() { _ = f.Close() })
	go readWriters(ctx, f, match, seen)
	return nil
}

func readWriters(ctx context.Context, f *os.File, match func(string) bool, seen func(int, string)) {
	own := os.Getpid()
	tell := func(pid int, name string) {
		if pid != own && match(name) {
			seen(pid, name)
		}
	}
	buf := make([]byte, 4096)
	for ctx.Err() == nil {
		n, err := f.Read(buf)
		if err != nil {
			// One event could not be opened for us: EMFILE, or its file is gone.
			sleep(ctx, 100*time.Millisecond)
			continue
		}
		eachWriter(buf[:n], tell)
	}
}

// eachWriter goes through what one read gave: struct fanotify_event_metadata of
// fanotify(7), in the machine's byte order. It closes every descriptor in there.
func eachWriter(events []byte, tell func(pid int, name string)) {
	const size = 24 // FAN_EVENT_METADATA_LEN
	order := binary.NativeEndian
	for len(events) >= size {
		length := int(order.Uint32(events))
		fd, pid := int(int32(order.Uint32(events[16:]))), int(int32(order.Uint32(events[20:])))
		if fd >= 0 { // FAN_NOFD with FAN_Q_OVERFLOW
			name := nameOf(fd)
			_ = unix.Close(fd)
			tell(pid, name)
		}
		events = events[min(max(length, size), len(events)):]
	}
}

// nameOf gives the base name of the file behind a descriptor, as it is now.
func nameOf(fd int) string {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(filepath.Base(path), " (deleted)")
}
