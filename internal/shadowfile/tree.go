package shadowfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
	"golang.org/x/sys/unix"
)

// maxSize bounds the files we read, in bytes: a million accounts fit.
const maxSize = 256 << 20

// shadowName is the shadow file's name in the etc folder.
const shadowName = "shadow"

// tree is an opened root directory and the etc folder in it.
type tree struct {
	root string // for messages
	top  int    // O_PATH
	etc  *os.File
}

func openTree(root string) (*tree, error) {
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, failed("open root directory", root, err)
	}
	t := &tree{root: root, top: top}
	t.etc, err = t.open("etc", unix.O_DIRECTORY)
	if err != nil {
		_ = unix.Close(top)
		return nil, err
	}
	return t, nil
}

func (t *tree) close() {
	_ = t.etc.Close()
	_ = unix.Close(t.top)
}

// open opens a path as it looks from inside the root directory: symbolic links
// are followed, absolute ones and ".." cannot lead outside.
func (t *tree) open(path string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{
		// O_NONBLOCK: opening a FIFO must not wait for a writer.
		Flags:   flags | unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(t.top, path, &how)
		if err == unix.ENOSYS && t.root == "/" {
			// RestrictSUIDSGID= in our own unit forbids openat2(2), whose mode a filter
			// cannot see. In the running system there is no outside to be led to.
			fd, err = unix.Openat(t.top, path, int(how.Flags), 0)
		}
		// EAGAIN: something was renamed while ".." was resolved (openat2(2)).
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		full := filepath.Join(t.root, path)
		if err != nil {
			return nil, failed("open", full, err)
		}
		return os.NewFile(uintptr(fd), full), nil
	}
}

// openShadow opens the shadow file itself, never through a symbolic link, and
// checks what was opened: a regular file of root's.
func (t *tree) openShadow() (*os.File, error) {
	fd, err := unix.Openat(int(t.etc.Fd()), shadowName,
		unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) {
		err = errors.New("is a symbolic link")
	}
	if err != nil {
		return nil, failed("open", t.path(shadowName), err)
	}
	file := os.NewFile(uintptr(fd), t.path(shadowName))
	st, err := stat(file)
	if err == nil && st.Uid != 0 {
		err = fmt.Errorf("cannot use %s: it belongs to uid %d, not to root", file.Name(), st.Uid)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// path is the name of a file in the etc folder, for messages.
func (t *tree) path(name string) string { return filepath.Join(t.root, "etc", name) }

// read returns the content of a regular file beneath the root directory.
func (t *tree) read(path string) (string, error) {
	file, err := t.open(path, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return readAll(file)
}

// readShadow returns the shadow file, still open, and its content.
func (t *tree) readShadow() (*os.File, string, error) {
	file, err := t.openShadow()
	if err != nil {
		return nil, "", err
	}
	content, err := readAll(file)
	if err != nil {
		_ = file.Close()
		return nil, "", err
	}
	return file, content, nil
}

func readAll(file *os.File) (string, error) {
	st, err := stat(file)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(int(st.Size))
	err = copyStable(&b, file, st)
	return b.String(), err
}

// eachLine reads the file line by line, each with its newline, in memory that is used
// again for the next; also gets all of it. What was done with the lines counts only
// without an error.
func eachLine(file *os.File, do func(raw []byte), also ...io.Writer) error {
	st, err := stat(file)
	if err != nil {
		return err
	}
	s := &splitter{do: do}
	err = copyStable(io.MultiWriter(append(also, s)...), file, st)
	s.end()
	return err
}

// splitter cuts what is written to it into lines.
type splitter struct {
	do    func(raw []byte)
	begun []byte // of a line that has not ended yet
}

func (s *splitter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			s.begun = append(s.begun, rest...)
			break
		}
		raw := rest[:end]
		if len(s.begun) > 0 {
			s.begun = append(s.begun, raw...)
			raw = s.begun
		}
		s.do(raw)
		s.begun, rest = s.begun[:0], rest[end:]
	}
	return len(p), nil
}

// end hands on the last line, if it has no newline.
func (s *splitter) end() {
	if len(s.begun) > 0 {
		s.do(s.begun)
	}
}

// copyStable copies the file to w. All of shadow-utils and PAM replace it by a
// rename; one that is written in place meanwhile must not be taken for what
// somebody wanted it to be.
func copyStable(w io.Writer, file *os.File, before unix.Stat_t) error {
	buffer := make([]byte, min(64<<10, before.Size+1))
	n, err := io.CopyBuffer(w, struct{ io.Reader }{io.LimitReader(file, maxSize)}, buffer)
	if err != nil {
		return fmt.Errorf("cannot read: %w", err)
	}
	after, err := stat(file)
	if err != nil {
		return err
	}
	if n != before.Size || after.Size != before.Size || after.Mtim != before.Mtim {
		return fmt.Errorf("cannot read %s: it is being written: %w", file.Name(), shadowsync.ErrUnavailable)
	}
	return nil
}

// stat refuses what is not a regular file of a sane size.
func stat(file *os.File) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return st, failed("stat", file.Name(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return st, fmt.Errorf("cannot use %s: it is not a regular file", file.Name())
	}
	if st.Size > maxSize {
		return st, fmt.Errorf("cannot use %s: it has %d bytes, more than %d", file.Name(), st.Size, maxSize)
	}
	return st, nil
}

// failed names what was tried on which file.
func failed(do, path string, err error) error {
	return fmt.Errorf("cannot %s %s: %w", do, path, err)
}
