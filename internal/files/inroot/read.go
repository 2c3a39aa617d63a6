package inroot

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxSize bounds how much of a file is read, in bytes: a passwd(5) of a million accounts fits.
const maxSize = 256 << 20

// ErrNotRegular: the path is not a regular file.
var ErrNotRegular = errors.New("not a regular file")

// ReadFile reads a regular file.
func ReadFile(root, name string) ([]byte, error) {
	f, err := OpenRegular(root, name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := ReadAll(f, maxSize+1)
	if err == nil && len(data) > maxSize {
		err = &fs.PathError{Op: "read", Path: f.Name(), Err: fmt.Errorf("larger than %d MiB", maxSize>>20)}
	}
	return data, err
}

// ReadAll reads at most so many bytes of a regular file, in one piece if its size is right.
func ReadAll(f *os.File, most int64) ([]byte, error) {
	var data bytes.Buffer
	if info, err := f.Stat(); err == nil {
		data.Grow(int(min(info.Size(), most)) + bytes.MinRead)
	}
	_, err := data.ReadFrom(io.LimitReader(f, most))
	return data.Bytes(), err
}

// Holds reports whether a regular file can be read and holds exactly this content. It reads it in
// pieces: memory that is used for the first time costs more than the reading.
func Holds(root, name string, content []byte) bool {
	f, err := OpenRegular(root, name, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	piece := make([]byte, 64<<10)
	for {
		n, err := f.Read(piece)
		if n > len(content) || !bytes.Equal(piece[:n], content[:n]) {
			return false
		}
		content = content[n:]
		if err != nil {
			return errors.Is(err, io.EOF) && len(content) == 0
		}
	}
}

// OpenRegular opens a regular file with flags of open(2) that create nothing. In a mounted system
// it checks before it opens, because just opening a device may have an effect.
func OpenRegular(root, name string, flags int) (*os.File, error) {
	if Live(root) { // only root can create its devices
		f, err := Open(root, name, flags)
		if err = checked(f, err); err != nil {
			return nil, err
		}
		return f, nil
	}
	place, err := Open(root, name, unix.O_PATH|flags&unix.O_NOFOLLOW)
	if err = checked(place, err); err != nil {
		return nil, err
	}
	defer place.Close()
	return opened(func() (int, error) {
		return unix.Open(descriptor(place), flags&unix.O_ACCMODE|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	}, place.Name())
}

// checked refuses, and closes, a file that is not regular.
func checked(f *os.File, err error) error {
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: f.Name(), Err: ErrNotRegular}
	}
	if err != nil {
		_ = f.Close()
	}
	return err
}

// descriptor returns the path by which only this process can reopen an open file.
func descriptor(f *os.File) string { return descriptors + strconv.Itoa(int(f.Fd())) }

const descriptors = "/proc/self/fd/"

// Stat describes the file that a path leads to.
func Stat(root, name string) (fs.FileInfo, error) {
	if Live(root) {
		return os.Stat(plain(root, name))
	}
	return stat(root, name, 0)
}

// Lstat describes the file with that name, and does not follow it if it is a symbolic link.
func Lstat(root, name string) (fs.FileInfo, error) {
	if Live(root) {
		return os.Lstat(plain(root, name))
	}
	return stat(root, name, unix.O_NOFOLLOW)
}

func stat(root, name string, flags int) (fs.FileInfo, error) {
	f, err := Open(root, name, unix.O_PATH|flags)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// Entry is one entry of a folder.
type Entry struct {
	Name string
	Dir  bool // false for a link to a folder
}

// ReadDir lists a folder by name.
func ReadDir(root, name string) ([]Entry, error) {
	f, err := Open(root, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, name := range names {
		var st unix.Stat_t
		err := unix.Fstatat(int(f.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, &fs.PathError{Op: "stat", Path: f.Name() + "/" + name, Err: err}
		}
		entries = append(entries, Entry{name, st.Mode&unix.S_IFMT == unix.S_IFDIR})
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}

// Readlink returns where a symbolic link points.
func Readlink(root, name string) (string, error) {
	parent, base, err := parentOf(root, name)
	if err != nil {
		return "", err
	}
	defer parent.Close()
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(parent.Fd()), base, target)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: plain(root, name), Err: err}
	}
	return string(target[:n]), nil
}
