package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// DamagedError is a database that cannot be read. It cannot be repaired; MoveAside makes room for
// another one. A database of a newer shadowsync is not damaged.
type DamagedError struct {
	Path string
	file fileID
	err  error
}

func (e *DamagedError) Error() string { return e.err.Error() }
func (e *DamagedError) Unwrap() error { return e.err }

// ErrReplaced: the name belongs to another file than the open one, so what is written to the open
// one would never be read; or another state was written over the open one. A process must open the
// state again, because what it knows is of the replaced one.
var ErrReplaced = errors.New("the file was replaced")

// damagedName is the name of a database that was moved aside; the time follows it.
const damagedName = FileName + ".damaged-"

// damage turns an error into a DamagedError if it is one of damage.
func (db *DB) damage(err error) error {
	if !errors.Is(err, shadowsync.ErrMalformed) || db.folder == nil { // in memory: nothing to move
		return err
	}
	file := db.file
	if file == (fileID{}) {
		file = fileAt(db.folder.Path(db.name))
	}
	return &DamagedError{Path: db.path, file: file, err: err}
}

// fileID identifies a file; zero: there is none.
type fileID struct{ dev, inode uint64 }

func fileAt(path string) fileID {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return fileID{}
	}
	return fileID{st.Dev, st.Ino}
}

// asideWithin bounds the wait for the engine lock, which a hung owner loses after five seconds.
const asideWithin = 7 * time.Second

// MoveAside renames a damaged database of the running system and its journal, and returns the new
// name. SQLite must not roll the next database back with that journal. The name is "" if another
// process moved the database meanwhile.
func MoveAside(ctx context.Context, e *DamagedError, program string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, asideWithin)
	defer cancel()
	dir := filepath.Dir(e.Path)
	lease, err := NewLocker(dir, program).Acquire(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot move the damaged state aside: %w", err)
	}
	defer lease.Release()
	if fileAt(e.Path) != e.file {
		return "", nil
	}
	aside := filepath.Join(dir, damagedName+asideTime(time.Now()))
	if err := os.Rename(e.Path, aside); err != nil {
		return "", fmt.Errorf("cannot move the damaged state aside: %w", err)
	}
	err = os.Rename(e.Path+"-journal", aside+"-journal")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return aside, fmt.Errorf("cannot move the journal of the damaged state aside: %w", err)
	}
	return aside, syncFolder(dir, dir)
}

func asideTime(at time.Time) string { return at.UTC().Format("20060102T150405.000Z") }

// Aside lists the databases in a state folder that were moved aside since the given time, the
// latest last.
func Aside(dir string, since time.Time) []string {
	found, _ := filepath.Glob(filepath.Join(dir, damagedName+"*")) // fails only for a bad pattern
	found = slices.DeleteFunc(found, func(path string) bool {
		return strings.HasSuffix(path, "-journal") || filepath.Base(path) < damagedName+asideTime(since)
	})
	slices.Sort(found)
	return found
}

// Blank reports whether nothing was recorded when this DB was opened: there was no file, an empty
// one, or only the tables.
func (db *DB) Blank() bool { return db.blank }

// still returns ErrReplaced if the open file no longer has the name.
func (db *DB) still() error {
	if db.file == (fileID{}) || fileAt(db.folder.Path(db.name)) == db.file {
		return nil
	}
	return ErrReplaced
}

// same returns ErrReplaced if the file's content was overwritten by a state in which nothing is
// recorded. A trail never becomes empty otherwise.
func (t *tx) same() error {
	if !t.db.opened {
		return nil
	}
	var recorded bool
	_, err := t.get("SELECT EXISTS (SELECT 1 FROM audit_head) OR EXISTS (SELECT 1 FROM audit)", nil, &recorded)
	switch {
	case err != nil:
		return err
	case t.db.recorded && !recorded:
		return ErrReplaced
	}
	t.db.recorded = recorded
	return nil
}

// Check checks the whole file, until ctx ends. It returns a *DamagedError if any of it is wrong.
func (db *DB) Check(ctx context.Context) error {
	return db.read(ctx, "check", func(tx *tx) error {
		var found string
		rows, err := tx.db.conn.QueryContext(ctx, "PRAGMA integrity_check(1)")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := rows.Scan(&found); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if found != "ok" {
			return fmt.Errorf("%w: %s", shadowsync.ErrMalformed, strings.ReplaceAll(found, "\n", "; "))
		}
		return nil
	})
}

// missesTables reports whether a database that has our application id lacks our tables.
func missesTables(err sqlite3.Error) bool {
	text := err.Error()
	return err.Code == sqlite3.ErrError && (strings.Contains(text, "no such table") || strings.Contains(text, "no such column"))
}
