package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// version is the schema's, in PRAGMA user_version.
const version = 1

// real is the path as this process sees it.
func (s *Store) real() string { return filepath.Join("/", s.root, s.path) }

// checkPlace makes sure that the database is where nobody but root (in a test:
// whoever runs it) can put another file in its place. Looked at by lstat(2): to open and close
// the file would take the locks that another connection of this process holds.
func (s *Store) checkPlace() (content, error) {
	st, err := s.stat(s.real())
	if err != nil {
		return content{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o022 != 0 {
		return content{}, driver.Malformed("%s is not a regular file that root alone can write", s.path)
	}
	return contentOf(st), s.checkFolders()
}

func (s *Store) checkFolders() error {
	top := filepath.Clean("/" + s.root)
	for folder := filepath.Dir(s.real()); ; folder = filepath.Dir(folder) {
		st, err := s.stat(folder)
		if err != nil {
			return err
		}
		// In a folder like /tmp nobody can rename what is root's.
		sticky := st.Mode&unix.S_ISVTX != 0 && folder != filepath.Dir(s.real())
		if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Mode&0o022 != 0 && !sticky {
			return driver.Malformed("%s is not a folder that root alone can write", folder)
		}
		if folder == top || folder == "/" {
			return nil
		}
	}
}

func (s *Store) stat(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return st, driver.Unavailable(fmt.Errorf("%s: %w", path, err))
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return st, driver.Malformed("%s is not root's", path)
	}
	return st, nil
}

// create makes folder and database where they are missing.
func (s *Store) create(ctx context.Context) error {
	gid, err := s.gid()
	if err != nil {
		return err
	}
	if err := s.createFolder(gid); err != nil {
		return fmt.Errorf("cannot make the folder of %s: %w", s.path, err)
	}
	if err := s.createFile(gid); err != nil {
		return fmt.Errorf("cannot make %s: %w", s.path, err)
	}
	return s.createSchema(ctx)
}

func (s *Store) createFolder(gid int) error {
	folder := filepath.Dir(s.real())
	err := os.Mkdir(folder, 0o700)
	switch {
	case errors.Is(err, os.ErrExist):
		return s.checkFolders()
	case err != nil:
		return err
	case gid < 0:
		return s.checkFolders()
	}
	return errors.Join(os.Chown(folder, -1, gid), os.Chmod(folder, 0o750), s.checkFolders())
}

// createFile makes an empty file, which is an empty database, with its owner and
// mode: SQLite would make it with the umask's, and copies them to its journal.
func (s *Store) createFile(gid int) error {
	f, err := os.OpenFile(s.real(), os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if gid >= 0 {
		err = errors.Join(f.Chown(-1, gid), f.Chmod(0o640))
	}
	return errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(s.real())))
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// createSchema fills a database that is still empty; another process may do the same.
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
