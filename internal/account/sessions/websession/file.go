package websession

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockWithin is how long a process waits for the others' few file operations.
	lockWithin = 2 * time.Second
	lockPause  = time.Millisecond
	// largest is more than a session has, in bytes.
	largest = 4096
	// temporary begins the names of files that are not whole yet.
	temporary = ".new-"
)

func (s Store) dir() string {
	if s.Dir != "" {
		return s.Dir
	}
	return Dir
}

// prepare makes the folder.
func (s Store) prepare() error {
	if err := os.Mkdir(s.dir(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return cannot("keep", err)
	}
	return nil
}

func (s Store) path(name string) string { return filepath.Join(s.dir(), name) }

// locked runs act while no other process begins, continues or ends a session: a session that goes on under
// a new name must not slip past somebody who ends all.
func (s Store) locked(act func() error) error {
	folder, err := os.Open(s.dir())
	if err != nil {
		return ended("lock", err)
	}
	defer folder.Close()
	for began := time.Now(); ; time.Sleep(lockPause) {
		err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return act()
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR || time.Since(began) > lockWithin {
			return cannot("lock", err)
		}
	}
}

// write writes a session's file, whole or not at all.
func (s Store) write(one Session) error {
	text, err := json.Marshal(one)
	if err != nil {
		return cannot("write", err)
	}
	unfinished := s.path(temporary + one.ID)
	err = os.WriteFile(unfinished, text, 0o600)
	if err == nil {
		err = os.Chtimes(unfinished, time.Time{}, time.Unix(0, int64(one.used)))
	}
	if err == nil {
		err = os.Rename(unfinished, s.path(one.name))
	}
	if err != nil {
		_ = os.Remove(unfinished)
		return cannot("write", err)
	}
	return nil
}

// touch notes the time of a request.
func (s Store) touch(one Session) error {
	return ended("use", os.Chtimes(s.path(one.name), time.Time{}, time.Unix(0, int64(one.used))))
}

// remove removes a session's file; it may be gone already.
func (s Store) remove(one Session) error {
	if err := os.Remove(s.path(one.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cannot("end", err)
	}
	return nil
}

func (s Store) read(name string) (one Session, err error) {
	file, err := os.OpenFile(s.path(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return one, ended("read", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return one, cannot("read", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, largest))
	if err != nil {
		return one, cannot("read", err)
	}
	if json.Unmarshal(text, &one) != nil {
		return Session{}, ErrEnded // it is none
	}
	one.name, one.used = name, time.Duration(info.ModTime().UnixNano())
	return one, nil
}

// list reads all sessions. With an error there may be others.
func (s Store) list() (all []Session, err error) {
	entries, err := os.ReadDir(s.dir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nobody ever signed in
	}
	if err != nil {
		return nil, cannot("list", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) || strings.HasPrefix(e.Name(), changes) {
			continue
		}
		one, failed := s.read(e.Name())
		switch {
		case failed == nil:
			all = append(all, one)
		case !errors.Is(failed, ErrEnded):
			err = errors.Join(err, failed)
		}
	}
	return all, err
}

// ended is ErrEnded if a session's file is gone.
func ended(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return ErrEnded
	}
	return cannot(what, err)
}

func cannot(what string, err error) error {
	return fmt.Errorf("cannot %s a session of a page: %w", what, err)
}
