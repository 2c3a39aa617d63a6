// Package rootonly opens folders in which only root (or the caller) can replace a file.
//
// It walks the path by descriptors, from the root down: each folder and each symbolic link on the
// way belongs to root or the caller, and others cannot write to any of the folders. So nobody else
// can make a name in the opened folder lead to another file, now or later.
package rootonly

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// Error means that somebody else can change a folder or file.
type Error struct{ Path, Why string }

func (e *Error) Error() string { return e.Path + " " + e.Why }

// maxLinks bounds the symbolic links in a path, as in the kernel.
const maxLinks = 40

// trust says which folders are accepted.
type trust int

const (
	rootAlone trust = iota
	anybodys
)

// Folder opens the folder at path beneath root (empty: "/"). The error is an *Error if somebody
// else can change it, or a folder on the way.
func Folder(root, path string) (*os.File, error) { return walk(root, path, rootAlone) }

// Anybodys opens a folder that somebody else may own. It follows no symbolic link that such an
// owner could have made, so that they cannot lead root to another folder. They can still rename,
// remove and replace what is in the folder.
func Anybodys(root, path string) (*os.File, error) { return walk(root, path, anybodys) }

// walker is a walk from the root down to a folder.
type walker struct {
	root  int // descriptor
	dir   int
	here  string   // path of dir beneath the root
	rest  []string // names still to walk
	links int
	trust trust
	open  bool // somebody else can change a folder on the way
}

func walk(root, path string, t trust) (*os.File, error) {
	opened, err := inroot.Open(root, "/", unix.O_PATH|unix.O_DIRECTORY) // the same tree as for all other paths below root
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	top := int(opened.Fd())
	w := walker{root: top, dir: top, here: "/", rest: strings.Split(path, "/"), trust: t}
	defer w.close()
	err = w.check(top, "/")
	for err == nil && len(w.rest) > 0 {
		name := w.rest[0]
		w.rest = w.rest[1:]
		err = w.step(name)
	}
	if err != nil {
		return nil, below(root, err)
	}
	fd, err := unix.Openat(w.dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: w.here, Err: err}
	}
	return os.NewFile(uintptr(fd), w.here), nil
}

// below adds the root to the path in an error. It does not resolve the path, which may end with a
// refused link.
func below(top string, err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		e.Path = filepath.Join("/", top, e.Path)
	}
	return err
}

func (w *walker) close() { w.enter(w.root, "/") }

// enter continues in another folder; the walker then owns its descriptor.
func (w *walker) enter(dir int, here string) {
	if w.dir != w.root {
		_ = unix.Close(w.dir)
	}
	w.dir, w.here = dir, here
}

// home starts again at the root.
func (w *walker) home() {
	w.enter(w.root, "/")
	w.open = false
}

func (w *walker) step(name string) error {
	switch name {
	case "", ".":
		return nil
	case "..": // in the target of a link: the path before it contains no link
		w.rest = append(strings.Split(filepath.Dir(w.here), "/"), w.rest...)
		w.home()
		return nil
	}
	path := filepath.Join(w.here, name)
	fd, err := unix.Openat(w.dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return errors.Join(&os.PathError{Op: "stat", Path: path, Err: err}, unix.Close(fd))
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return errors.Join(w.follow(fd, st, path), unix.Close(fd))
	}
	if err := w.check(fd, path); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	w.enter(fd, path)
	return nil
}

// ahead reports whether a folder is still to come.
func (w *walker) ahead() bool { return strings.Trim(strings.Join(w.rest, ""), ".") != "" }

// follow continues with the target of a link.
func (w *walker) follow(fd int, st unix.Stat_t, path string) error {
	if w.links++; w.links > maxLinks {
		return &os.PathError{Op: "open", Path: path, Err: unix.ELOOP}
	}
	if w.open {
		return &Error{path, "is a symbolic link in a folder that others can change"}
	}
	if err := owned(st, path); err != nil {
		return err
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", target)
	if err != nil {
		return &os.PathError{Op: "readlink", Path: path, Err: err}
	}
	to := string(target[:n])
	if filepath.IsAbs(to) {
		w.home()
	}
	w.rest = append(strings.Split(to, "/"), w.rest...)
	return nil
}

// check refuses a folder that somebody else can change. On the way it accepts one like /tmp.
func (w *walker) check(fd int, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return &Error{path, "is not a folder"}
	}
	err := owned(st, path)
	sticky := st.Mode&unix.S_ISVTX != 0 && w.ahead()
	if err == nil && st.Mode&0o022 != 0 && !sticky {
		err = &Error{path, fmt.Sprintf("is a folder that others can write (mode %04o)", st.Mode&0o7777)}
	}
	if err != nil && w.trust == anybodys {
		w.open = true
		return nil
	}
	return err
}

func owned(st unix.Stat_t, path string) error {
	if st.Uid == 0 || int(st.Uid) == os.Geteuid() {
		return nil
	}
	return &Error{path, fmt.Sprintf("belongs to uid %d, who can replace files in it", st.Uid)}
}

// Regular returns an error unless f is a regular file that only root or the caller can write. The
// error names path.
func Regular(f *os.File, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return &Error{path, "is not a regular file"}
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return &Error{path, fmt.Sprintf("belongs to uid %d, who can change it", st.Uid)}
	case st.Mode&0o022 != 0:
		return &Error{path, fmt.Sprintf("can be written by others (mode %04o)", st.Mode&0o7777)}
	}
	return nil
}
