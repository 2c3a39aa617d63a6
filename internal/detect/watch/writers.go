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

// ErrNoWriters means that the kernel does not report writers or readers: no CAP_SYS_ADMIN, no
// fanotify, or a file system without it. The caller continues without this information.
var ErrNoWriters = errors.New("the kernel does not tell who writes")

// File identifies one content of one file. Every write and every replacement changes it; a rename
// does not.
type File struct {
	Dev, Ino uint64
	Size     int64
	Changed  int64 // of the content, in nanoseconds since 1970: st_mtime
}

// FileAt returns the identity of the present content of the file at path.
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

// Write is a write to a file, or its close after writing, as known when the event is read.
type Write struct {
	// PID is the pid in this process's pid namespace, 0 for a process outside it.
	PID int
	// Name returns the file's present name, while the event is told: if a process writes /etc/shadow+
	// and renames it, this may be "shadow+" or "shadow". It takes a look into /proc.
	Name func() string
	File File
}

// Writers reports which processes write to files in folder, until ctx ends. It calls seen at once,
// so that /proc can be read while the process still lives: chpasswd is in fsync(2) before it closes
// its file, and ends right after that. Events wait meanwhile, so seen must be quick. Writes by this
// process are not reported.
//
// catchUp reports at once what is queued by now. The kernel queues the close of a file before a
// rename that follows it. So a caller that sees a new file and then calls catchUp knows the writer.
//
// The folder is the one at that path now: after an [Event] with Rescan, start again. A nil error
// means that it runs; [ErrNoWriters] means that the kernel does not provide this.
func Writers(ctx context.Context, folder string, seen func(Write)) (catchUp func(), err error) {
	return follow(ctx, folder, unix.FAN_MODIFY|unix.FAN_CLOSE_WRITE, seen)
}

// Readers reports which processes read files in folder, in the same way and with the same limits:
// on read(2), or on the close of a file opened only for reading, for mmap(2).
func Readers(ctx context.Context, folder string, seen func(pid int, name string)) error {
	_, err := follow(ctx, folder, unix.FAN_ACCESS|unix.FAN_CLOSE_NOWRITE, func(w Write) { seen(w.PID, w.Name()) })
	return err
}

// follow reports the events of a mask for the files in folder.
func follow(ctx context.Context, folder string, events uint64, seen func(Write)) (catchUp func(), err error) {
	// O_NONBLOCK: the kernel opens each file for this process, and the folder's owner may have put
	// a FIFO there.
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK,
		unix.O_RDONLY|unix.O_LARGEFILE|unix.O_CLOEXEC|unix.O_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("%w: fanotify_init: %w", ErrNoWriters, err)
	}
	f := os.NewFile(uintptr(fd), "fanotify")
	err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_ONLYDIR, events|unix.FAN_EVENT_ON_CHILD, unix.AT_FDCWD, folder)
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

// writersQueue reads fanotify's events, one reader at a time: a reader in the middle of another's
// reading would miss the events that the other already took.
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
			// The kernel could not open the file of one event: EMFILE, or the file is gone.
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

// take handles the events of one read; EAGAIN: there are none.
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

// eachWrite handles the events of one read: struct fanotify_event_metadata of fanotify(7), in the
// machine's byte order. It closes every descriptor in them after telling of it.
func eachWrite(events []byte, tell func(Write)) {
	const size = 24 // FAN_EVENT_METADATA_LEN
	order := binary.NativeEndian
	for len(events) >= size {
		length := int(order.Uint32(events))
		fd, pid := int(int32(order.Uint32(events[16:]))), int(int32(order.Uint32(events[20:])))
		if fd >= 0 { // FAN_NOFD with FAN_Q_OVERFLOW
			write := Write{PID: pid, Name: func() string { return nameOf(fd) }}
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil {
				write.File = fileOf(st)
			}
			tell(write)
			_ = unix.Close(fd)
		}
		events = events[min(max(length, size), len(events)):]
	}
}

// nameOf returns the present base name of the file behind a descriptor.
func nameOf(fd int) string {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(filepath.Base(path), " (deleted)")
}
