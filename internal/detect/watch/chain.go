package watch

import (
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"
)

// chain watches the existing folders from the root down to a file: inotify reports the replacement
// of a folder only to a watch on its parent.
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
	// Before the watches are set, so that a mount in between is noticed.
	c.ids = identities(c.folders)
	for _, folder := range c.folders {
		err := fs.Add(folder)
		if isAbsent(err) {
			c.complete = false // the watch on its parent will report it
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

// breaks reports whether an event may mean that path now leads elsewhere.
func (c *chain) breaks(name string, op fsnotify.Op) bool {
	relevant := fsnotify.Create | fsnotify.Remove | fsnotify.Rename
	if !c.complete {
		relevant |= fsnotify.Chmod // it may have become readable
	}
	return op&relevant != 0 && slices.Contains(c.folders, name)
}

// moved reports whether path now leads through other folders than at the start.
func (c *chain) moved() bool { return !slices.Equal(c.ids, identities(c.folders)) }

// close releases the inotify queue. If close(2) fails, nothing more can be done.
func (c *chain) close() { _ = c.fs.Close() }
