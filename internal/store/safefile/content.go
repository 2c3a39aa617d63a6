package safefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/durable"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = 32 << 20

// Content is the file's content at one instant.
type Content struct {
	Data []byte
	// InPlace: the file was written after it had been made, and not at one go, as a file is that replaces
	// another one.
	InPlace bool
	stat    unix.Stat_t
}

// Revision returns an identifier of the content.
func Revision(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Modified returns when the file was last written.
func (c *Content) Modified() time.Time { return time.Unix(c.stat.Mtim.Unix()) }

// Same reports whether the file has not changed between the two readings.
func (c *Content) Same(as *Content) bool { return as != nil && sameState(c.stat, as.stat) }

// Read reads the whole file. The error is ErrMoved if the file was written meanwhile.
func (f *Folder) Read() (*Content, error) {
	file, stat, err := f.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// One more byte shows that the file has grown meanwhile.
	buffer := make([]byte, stat.Size+1)
	n, err := io.ReadFull(file, buffer)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, driver.Unavailable(err)
	}
	var after unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &after); err != nil {
		return nil, f.unavailable(err)
	}
	if int64(n) != stat.Size || !sameState(stat, after) {
		return nil, ErrMoved
	}
	return &Content{Data: buffer[:n], InPlace: writtenInPlace(file, stat), stat: stat}, nil
}

// atOneGo is how long after its making a file may be written that replaces another one.
const atOneGo = 20 * time.Millisecond

func writtenInPlace(file *os.File, stat unix.Stat_t) bool {
	if stat.Mtim.Nano() > stat.Ctim.Nano() { // it was set, as by date, and a write would have set both to the clock's
		return false
	}
	var x unix.Statx_t
	err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &x)
	if err != nil || x.Mask&unix.STATX_BTIME == 0 {
		return true // the file system does not know
	}
	made := time.Unix(x.Btime.Sec, int64(x.Btime.Nsec))
	return time.Unix(stat.Mtim.Unix()).Sub(made) > atOneGo
}

// Digest returns the revision of the file without holding its content.
func (f *Folder) Digest() (string, error) {
	file, stat, err := f.open()
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, limited(file), bufferFor(stat.Size)); err != nil {
		return "", driver.Unavailable(err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// bufferFor returns a buffer that holds a small file as a whole, and a large one in pieces of 128
// KiB.
func bufferFor(size int64) []byte { return make([]byte, min(size+1, 128<<10)) }

// limited hides the methods with which io.Copy would bypass the buffer.
func limited(file *os.File) io.Reader { return io.LimitReader(file, MaxSize+1) }

// holds reports whether the file is still, by its identity and byte for byte, what was read.
func (f *Folder) holds(old *Content) (bool, error) {
	file, stat, err := f.open()
	if err != nil {
		return false, err
	}
	defer file.Close()
	if !sameState(stat, old.stat) {
		return false, nil
	}
	return equalContent(limited(file), old.Data)
}

func sameState(a, b unix.Stat_t) bool {
	return sameFile(a, b) && a.Size == b.Size && a.Mtim == b.Mtim && a.Ctim == b.Ctim
}

func sameFile(a, b unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

func equalContent(r io.Reader, want []byte) (bool, error) {
	buffer := bufferFor(int64(len(want)))
	for {
		n, err := r.Read(buffer)
		if n > len(want) || !bytes.Equal(buffer[:n], want[:n]) {
			return false, nil
		}
		want = want[n:]
		switch {
		case errors.Is(err, io.EOF):
			return len(want) == 0, nil
		case err != nil:
			return false, driver.Unavailable(err)
		}
	}
}

// open opens the file for reading. It checks the file before, because opening a device can already
// have an effect, and after, because the file may have been exchanged.
func (f *Folder) open() (*os.File, unix.Stat_t, error) {
	var stat unix.Stat_t
	if err := unix.Fstatat(f.fd, f.place.base(), &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, stat, f.unavailable(err)
	}
	if err := f.place.checkRegular(stat); err != nil {
		return nil, stat, err
	}
	// O_NONBLOCK: otherwise a FIFO that took its place would block until a writer comes.
	fd, err := durable.Retry(func() (int, error) {
		return unix.Openat(f.fd, f.place.base(), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, stat, f.unavailable(err)
	}
	file := os.NewFile(uintptr(fd), f.place.Path)
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, stat, errors.Join(f.unavailable(err), file.Close())
	}
	if err := f.place.checkRegular(stat); err != nil {
		_ = file.Close()
		return nil, stat, err
	}
	return file, stat, nil
}

func (f *Folder) unavailable(err error) error {
	return driver.Unavailable(fmt.Errorf("%s: %w", f.place.Path, err))
}

func (p Place) checkRegular(stat unix.Stat_t) error {
	switch kind := stat.Mode & unix.S_IFMT; {
	case kind == unix.S_IFLNK:
		return driver.Malformed("%s is a symbolic link", p.Path)
	case kind != unix.S_IFREG:
		return driver.Malformed("%s is not a regular file", p.Path)
	case stat.Size > MaxSize:
		return driver.Malformed("%s has %d bytes, more than the %d that are read", p.Path, stat.Size, MaxSize)
	}
	return nil
}
