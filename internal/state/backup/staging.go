package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// stagingName is the folder, beside the state, in which a backup is made or unpacked. There is only
// one: two runs at a time would lock each other's databases.
const stagingName = "staging"

// Staging is that folder, locked by this process.
type Staging struct {
	Path string
	// Found says that an earlier run left the folder behind and had changed nothing.
	Found bool
	lock  *os.File
}

// Stage locks the folder, and empties it. A folder that holds a journal is not emptied: see Resume.
func (s System) Stage() (*Staging, error) {
	st, err := s.stage()
	if err != nil {
		return nil, fmt.Errorf("cannot make the folder %s: %w", s.Folder.Shown(stagingName), err)
	}
	return st, nil
}

func (s System) stage() (*Staging, error) {
	folder, err := rootonly.Folder(s.Root, s.Dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	err = unix.Mkdirat(int(folder.Fd()), stagingName, 0o700)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	st := &Staging{Path: s.path(stagingName)}
	if st.lock, err = rootonly.Folder(s.Root, filepath.Join(s.Dir, stagingName)); err != nil {
		return nil, err
	}
	if err = unix.Flock(int(st.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%w: another backup or restore is running", shadowsync.ErrUnavailable)
	}
	if err == nil {
		st.Found, err = empty(st.Path)
	}
	if err != nil {
		return nil, errors.Join(err, st.lock.Close())
	}
	return st, nil
}

// empty removes what is in a folder, and reports whether it held anything.
func empty(path string) (found bool, err error) {
	if _, err := os.Lstat(filepath.Join(path, journalName)); err == nil {
		return false, fmt.Errorf("%w: a restore was interrupted, and is finished first", shadowsync.ErrUnavailable)
	}
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(path, e.Name())))
	}
	return len(entries) > 0, err
}

// Close removes the folder, unless it holds a journal.
func (st *Staging) Close() error {
	if _, err := os.Lstat(filepath.Join(st.Path, journalName)); err == nil {
		return st.lock.Close()
	}
	_, err := empty(st.Path)
	if err == nil {
		err = os.Remove(st.Path)
	}
	return errors.Join(err, st.lock.Close())
}

// room checks that a file system has so many bytes left.
func room(dir string, bytes int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return err
	}
	// A block has a few kilobytes, so the product fits into int64.
	if left := int64(min(fs.Bavail, 1<<40)) * fs.Bsize; left < bytes {
		return fmt.Errorf("it takes %d MB in %s, where %d MB are left: %w", bytes>>20, dir, left>>20, unix.ENOSPC)
	}
	return nil
}
