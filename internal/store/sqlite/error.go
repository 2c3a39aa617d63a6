package sqlite

import (
	"context"
	"errors"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// fault says what an error of SQLite's means for the store.
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

// errno is the kernel's word on an error. SQLite keeps it for some; on a file system that is
// mounted read-only it only finds itself unable to open or to write.
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

// busyError is a lock that another process did not give up in time.
type busyError struct{ cause error }

func (busyError) Error() string   { return "another process holds its lock" }
func (e busyError) Unwrap() error { return e.cause }
