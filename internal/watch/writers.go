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
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoWriters means that the kernel does not tell who writes: no CAP_SYS_ADMIN,
// no fanotify, or a file system that has none. One goes on without.
var ErrNoWriters = errors.New("the kernel does not tell who writes")

// File names one content of one file: it is another after every write and every
// replacement, and the same before and after a rename.
type File struct {
	Dev, Ino uint64
	Size     int64
	Changed  int64 // of the content, in nanoseconds since 1970: st_mtime
}

// FileAt names the present content of the file at path.
func FileAt(path string) (File, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return File{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fileOf(st), nil
}

func fileOf(st unix.Stat_t) File {
	return File{Dev: st.Dev, Ino: st.Ino, Size: st.Size, Changed: st.Mtim.Nano()}
}

// Write is a write to a file, or its close after that, as far as it is known when the event is read.
type Write struct {
	// PID is as this process's pid namespace knows it, 0 from outside.
	PID int
	// Name is the one the file has by now: who writes /etc/shadow+ and renames
	// it may be seen with "shadow+" or with "shadow".
	Name string
	File File
}

// Writers tells who writes to files in folder, until ctx ends. It calls seen at once, so that /proc
// can be read while the process still lives: chpasswd ends right after it closed its file, and
// is in fsync(2) before. Events wait meanwhile, so seen is to be quick. This
// process's own writing is not told.
//
// The result tells at once what is queued by now. The kernel queues the close of
// a file before a rename that follows it: who sees a new file, and calls it, has been told of the writer.
//
// The folder is the one at that path now: after an [Event] with Rescan start
// anew. A nil error means that it runs; [ErrNoWriters] that there is nothing to be had.
func Writers(ctx context.Context, folder string, seen func(Write)) (catchUp func(), err error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK,
		unix.O_RDONLY|unix.O_LARGEFILE|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("%w: fanotify_init: %w", ErrNoWriters, err)
	}
	f := os.NewFile(uintptr(fd), "fanotify")
	err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_ONLYDIR,
		unix.FAN_MODIFY|unix.FAN_CLOSE_WRITE|unix.FAN_EVENT_ON_CHILD, unix.AT_FDCWD, folder)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrNoWriters, folder, err), f.Close())
	}
	queue, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrNoWriters, err), f.Close())
	}
	context.AfterFunc(ctx, func() { _ = f.Close() })
	w := &writersQueue{queue: queue, seen: seen, buf: make([]byte, 4096)}
	go w.follow(ctx)
	return w.catchUp, nil
}

// writersQueue reads fanotify's events; by turns, for who reads them in the
// middle of another's reading would not know the rest.
type writersQueue struct {
	queue syscall.RawConn
	seen  func(Write)

	turn sync.Mutex
	buf  []byte
}

func (w *writersQueue) follow(ctx context.Context) {
	for ctx.Err() == nil {
		var err error
		waitErr := w.queue.Read(func(fd uintptr) bool {
			err = w.take(int(fd))
			return !errors.Is(err, unix.EAGAIN)
		})
		if waitErr != nil || err != nil {
			// One event could not be opened for us: EMFILE, or its file is gone.
			sleep(ctx, 100*time.Millisecond)
		}
	}
}

func (w *writersQueue) catchUp() {
	_ = w.queue.Control(func(fd uintptr) { // it fails when ctx has ended
		for w.take(int(fd)) == nil {
		}
	})
}

// take deals with the events of one read; EAGAIN: there are none.
func (w *writersQueue) take(fd int) error {
	w.turn.Lock()
	defer w.turn.Unlock()
	n, err := unix.Read(fd, w.buf)
	if err == nil {
		eachWrite(w.buf[:n], w.tell)
	}
	return err
}

func (w *writersQueue) tell(write Write) {
	if write.PID != os.Getpid() {
		w.seen(write)
	}
}

// eachWrite goes through what one read gave: struct fanotify_event_metadata of
// fanotify(7), in the machine's byte order. It closes every descriptor in there.
func eachWrite(events []byte, tell func(Write)) {
	const size = 24 // FAN_EVENT_METADATA_LEN
	order := binary.NativeEndian
	for len(events) >= size {
		length := int(order.Uint32(events))
		fd, pid := int(int32(order.Uint32(events[16:]))), int(int32(order.Uint32(events[20:])))
		if fd >= 0 { // FAN_NOFD with FAN_Q_OVERFLOW
			write := Write{PID: pid, Name: nameOf(fd)}
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil {
				write.File = fileOf(st)
			}
			_ = unix.Close(fd)
			tell(write)
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
