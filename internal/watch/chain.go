package watch

import (
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"
)

// chain watches the folders from the root to that of a file, as far as they
// exist: to see one of them replaced, its parent must be watched.
type chain struct {
	fs       *fsnotify.Watcher
	folders  []string
	ids      []identity
	complete bool
}

func newChain(path string) (*chain, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	c := &chain{fs: fs, folders: foldersOf(path), complete: true}
	// Before the watches are set, or what is mounted in between is missed.
	c.ids = identities(c.folders)
	for _, folder := range c.folders {
		err := fs.Add(folder)
		if isAbsent(err) {
			c.complete = false // its parent, watched already, will tell
			break
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// foldersOf lists the folders above path, from the root down.
func foldersOf(path string) []string {
	var folders []string
	for path != "/" {
		path = filepath.Dir(path)
		folders = append(folders, path)
	}
	slices.Reverse(folders)
	return folders
}

// breaks reports whether an event may mean that path leads elsewhere now.
func (c *chain) breaks(name string, op fsnotify.Op) bool {
	relevant := fsnotify.Create | fsnotify.Remove | fsnotify.Rename
	if !c.complete {
		relevant |= fsnotify.Chmod // it may be readable now
	}
	return op&relevant != 0 && slices.Contains(c.folders, name)
}

// moved reports whether path leads through other folders than at the start.
func (c *chain) moved() bool { return !slices.Equal(c.ids, identities(c.folders)) }

// close gives the kernel's queue back. An error of close(2) leaves nothing to do.
func (c *chain) close() { _ = c.fs.Close() }
