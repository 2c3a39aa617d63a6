package inroot

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Folder is a folder that is kept open for users that need a path: SQLite, Landlock.
type Folder struct {
	root, name string
	file       *os.File // nil: the folder is of the running system
}

// OpenFolder opens a folder. A folder of the running system is only named, not opened.
func OpenFolder(root, name string) (*Folder, error) { return openFolder(root, name, 0) }

// OpenPlainFolder is OpenFolder for a path without symbolic links: if a component is one, it fails
// with ELOOP.
func OpenPlainFolder(root, name string) (*Folder, error) {
	return openFolder(root, name, unix.RESOLVE_NO_SYMLINKS)
}

func openFolder(root, name string, how uint64) (*Folder, error) {
	if Live(root) {
		return &Folder{name: name}, nil
	}
	f, err := resolve(root, name, unix.O_PATH|unix.O_DIRECTORY, how)
	if err != nil {
		return nil, err
	}
	return &Folder{root, name, f}, nil
}

// Path returns the path of a name in the folder, or of the folder itself if base is empty. It is
// valid while the folder is open, even if the folders above it change.
func (f *Folder) Path(base string) string {
	if f.file == nil {
		return filepath.Join(f.name, base)
	}
	return filepath.Join(descriptor(f.file), base)
}

// Shown returns that path to show to people.
func (f *Folder) Shown(base string) string { return Shown(f.root, filepath.Join(f.name, base)) }

// Close closes the folder.
func (f *Folder) Close() error {
	if f == nil || f.file == nil {
		return nil
	}
	return f.file.Close()
}

// Descriptor reports whether Folder.Path returned this path for a mounted system.
func Descriptor(path string) bool { return strings.HasPrefix(path, descriptors) }
