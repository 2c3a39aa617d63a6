package rootonly

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// ReadMost reads a regular file of at most so many bytes.
func ReadMost(root, path string, most int64) ([]byte, error) {
	f, err := inroot.OpenRegular(root, path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readMost(f, path, most)
}

// Secret reads such a file that nobody but root (or the caller) can read, change, or replace by a link to
// another file of root's.
func Secret(root, path string, most int64) ([]byte, error) {
	path, err := final(root, path)
	if err != nil {
		return nil, err
	}
	f, err := inroot.OpenRegular(root, path, os.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.Mode().Perm()&0o077 != 0:
		return nil, &Error{path, fmt.Sprintf("can be read by others than root (mode %04o)", info.Mode().Perm())}
	}
	if err := Regular(f, path); err != nil {
		return nil, err
	}
	return readMost(f, path, most)
}

// final follows the links that a file's name is. All of them, and the file, are in folders of root's alone.
func final(root, path string) (string, error) {
	for range maxLinks {
		folder, err := Folder(root, filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(folder.Name(), filepath.Base(path))
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(int(folder.Fd()), filepath.Base(path), target)
		_ = folder.Close()
		if err != nil {
			return path, nil //nolint:nilerr // it is no link, or it is missing, as whoever opens it will say
		}
		if path = string(target[:n]); !filepath.IsAbs(path) {
			path = filepath.Join(folder.Name(), path)
		}
	}
	return "", &os.PathError{Op: "open", Path: path, Err: unix.ELOOP}
}

func readMost(f *os.File, path string, most int64) ([]byte, error) {
	text, err := inroot.ReadAll(f, most+1)
	if err == nil && int64(len(text)) > most {
		clear(text)
		return nil, fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return text, err
}
