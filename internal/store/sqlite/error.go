package sqlite

import (
	"context"
	"errors"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// fault turns an error of SQLite into a fault of the store.
func (s *Store) fault(err error) error {
	var e sqlite3.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), !errors.As(err, &e):
		return driver.Unavailable(err)
	}
	switch e.Code {
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB, sqlite3.ErrMismatch, sqlite3.ErrTooBig:
		return driver.Malformed("%s: %s", s.path, e.Error())
	case sqlite3.ErrError: // a table or column is missing
		return driver.Malformed("%s: %s", s.path, e.Error())
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return driver.Unavailable(busyError{err})
	}
	if errno := s.errno(e); errno != 0 {
		return driver.Unavailable(errors.Join(errno, err))
	}
	return driver.Unavailable(err)
}

// errno returns the kernel's error number. SQLite keeps it for some errors; on a read-only file
// system it reports only that it cannot open or write.
func (s *Store) errno(e sqlite3.Error) unix.Errno {
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(s.real()), &fs); err == nil && fs.Flags&unix.ST_RDONLY != 0 {
		return unix.EROFS
	}
	switch {
	case e.SystemErrno != 0:
		return e.SystemErrno
	case e.Code == sqlite3.ErrFull:
		return unix.ENOSPC
	}
	return 0
}

// busyError means that another process did not release its lock in time.
type busyError struct{ cause error }

func (busyError) Error() string   { return "another process holds its lock" }
func (e busyError) Unwrap() error { return e.cause }
