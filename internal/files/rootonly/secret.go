package rootonly

import (
	"fmt"
	"os"

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

// Secret reads such a file that nobody but root (or the caller) can read or change.
func Secret(root, path string, most int64) ([]byte, error) {
	f, err := inroot.OpenRegular(root, path, os.O_RDONLY)
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

func readMost(f *os.File, path string, most int64) ([]byte, error) {
	text, err := inroot.ReadAll(f, most+1)
	if err == nil && int64(len(text)) > most {
		clear(text)
		return nil, fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return text, err
}
