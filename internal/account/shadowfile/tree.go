package shadowfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
	"golang.org/x/sys/unix"
)

// maxSize bounds the files that this package reads, in bytes: a million accounts fit.
const maxSize = 256 << 20

// shadowName is the shadow file's name in the etc folder.
const shadowName = "shadow"

// tree is a system with its etc folder open.
type tree struct {
	root string
	etc  *os.File
}

func openTree(root string) (*tree, error) {
	etc, err := inroot.Open(root, "etc", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, cannotOpen(err)
	}
	return &tree{root, etc}, nil
}

func (t *tree) close() { _ = t.etc.Close() }

// open opens a path for reading, resolved inside the root directory.
func (t *tree) open(path string) (*os.File, error) {
	file, err := inroot.OpenRegular(t.root, path, 0)
	if err != nil {
		return nil, cannotOpen(err)
	}
	return file, nil
}

func cannotOpen(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return failed("open", path.Path, path.Err)
	}
	return err
}

// openPlain opens a file of the etc folder itself, never through a symbolic link, and checks that it is a
// regular file owned by root.
func (t *tree) openPlain(name string) (*os.File, error) {
	fd, err := unix.Openat(int(t.etc.Fd()), name,
		unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) {
		err = errors.New("is a symbolic link")
	}
	if err != nil {
		return nil, failed("open", t.path(name), err)
	}
	file := os.NewFile(uintptr(fd), t.path(name))
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

// path returns the name of a file in the etc folder, for messages.
func (t *tree) path(name string) string { return inroot.Shown(t.root, "etc/"+name) }

// read returns the content of a regular file beneath the root directory.
func (t *tree) read(path string) (string, error) {
	file, err := t.open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return readAll(file)
}

// readPlain returns a file of the etc folder, still open, and its content.
func (t *tree) readPlain(name string) (*os.File, string, error) {
	file, err := t.openPlain(name)
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

// eachLine calls do with each line, newline included; raw is valid only during the call. It also
// writes the whole content to also. The results count only if eachLine returns no error.
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

// splitter splits what is written to it into lines.
type splitter struct {
	do    func(raw []byte)
	begun []byte // the start of a line that has not ended yet
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

// end passes on the last line if it has no newline.
func (s *splitter) end() {
	if len(s.begun) > 0 {
		s.do(s.begun)
	}
}

// copyStable copies the file to w. shadow-utils and PAM always replace the file by a rename; if it
// is being written in place, its content must not be taken for a deliberate change.
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

// stat refuses a file that is not regular or is too large.
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

// failed returns an error that says what was tried on which file.
func failed(do, path string, err error) error {
	return fmt.Errorf("cannot %s %s: %w", do, path, err)
}
