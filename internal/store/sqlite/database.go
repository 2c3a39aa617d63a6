package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// version is the version of the schema, in PRAGMA user_version.
const version = 1

// enter opens the folder of the database, below the root of a mounted system, and keeps it open.
func (s *Store) enter() error {
	if s.folder != nil {
		return nil
	}
	folder, err := inroot.OpenPlainFolder(s.root, filepath.Dir(s.path))
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return driver.Malformed("%s is not a folder that root alone can write", filepath.Dir(s.path))
	case err != nil:
		return driver.Unavailable(err)
	}
	s.folder = folder
	return nil
}

// real is the path as this process sees it, once the folder is entered.
func (s *Store) real() string { return s.folder.Path(filepath.Base(s.path)) }

// checkPlace checks that only root (in a test: the user who runs it) can put another file in the
// database's place. It uses lstat(2): opening and closing the file would drop the locks that
// another connection of this process holds.
func (s *Store) checkPlace() (content, error) {
	if err := s.enter(); err != nil {
		return content{}, err
	}
	st, err := s.stat("/", s.real())
	if err != nil {
		return content{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o022 != 0 {
		return content{}, driver.Malformed("%s is not a regular file that root alone can write", s.path)
	}
	return contentOf(st), s.checkFolders()
}

func (s *Store) checkFolders() error {
	for folder := filepath.Dir(s.path); ; folder = filepath.Dir(folder) {
		st, err := s.stat(s.root, folder)
		if err != nil {
			return err
		}
		// In a sticky folder like /tmp others cannot rename root's files.
		sticky := st.Mode&unix.S_ISVTX != 0 && folder != filepath.Dir(s.path)
		if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Mode&0o022 != 0 && !sticky {
			return driver.Malformed("%s is not a folder that root alone can write", folder)
		}
		if folder == "/" {
			return nil
		}
	}
}

// stat follows no link, and refuses a file that belongs to another user than root.
func (s *Store) stat(root, path string) (*syscall.Stat_t, error) {
	info, err := inroot.Lstat(root, path)
	if err != nil {
		return nil, driver.Unavailable(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return st, driver.Malformed("%s is not root's", path)
	}
	return st, nil
}

// create creates folder and database if they are missing.
func (s *Store) create(ctx context.Context) error {
	gid, err := s.gid()
	if err != nil {
		return err
	}
	folder, err := s.createFolder(gid)
	if err != nil {
		return fmt.Errorf("cannot make the folder of %s: %w", s.path, err)
	}
	defer folder.Close()
	if err := s.createFile(folder, gid); err != nil {
		return fmt.Errorf("cannot make %s: %w", s.path, err)
	}
	return s.createSchema(ctx)
}

// createFolder creates the folder, in one that only root can change, and opens it.
func (s *Store) createFolder(gid int) (*os.File, error) {
	path := filepath.Dir(s.path)
	parent, err := rootonly.Folder(s.root, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	err = unix.Mkdirat(int(parent.Fd()), filepath.Base(path), 0o700)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	made := err == nil
	folder, err := rootonly.Folder(s.root, path)
	if err != nil {
		return nil, err
	}
	if made && gid >= 0 {
		err = errors.Join(folder.Chown(-1, gid), folder.Chmod(0o750))
	}
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return folder, nil
}

// createFile creates an empty file, which is an empty database, with the right owner and mode:
// SQLite would use the umask. SQLite copies owner and mode to its journal.
func (s *Store) createFile(folder *os.File, gid int) error {
	fd, err := unix.Openat(int(folder.Fd()), filepath.Base(s.path), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), s.path)
	if gid >= 0 {
		err = errors.Join(f.Chown(-1, gid), f.Chmod(0o640))
	}
	return errors.Join(err, f.Sync(), f.Close(), folder.Sync())
}

// createSchema fills a database that is still empty; another process may do so at the same time.
func (s *Store) createSchema(ctx context.Context) error {
	return s.transact(ctx, beginWrite, func(c *connection) error {
		var found, tables int
		if err := c.get("SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version", nil, &found, &tables); err != nil {
			return err
		}
		if found == 0 && tables == 0 {
			return c.run(Schema)
		}
		return s.checkVersion(found)
	})
}

func (s *Store) checkVersion(found int) error {
	switch {
	case found == 0:
		return driver.Malformed("%s is not a database of shadowsync's", s.path)
	case found > version:
		return driver.Malformed("%s was made by a newer shadowsync (schema %d, known is %d)", s.path, found, version)
	}
	return nil
}
