package websession

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// Change is the last change of a password that somebody began at a page. It is kept so that whoever signs in again
// is told what became of it, also if the page or the daemon died meanwhile.
type Change struct {
	Account string    `json:"account"`
	Realm   string    `json:"realm"`
	Began   time.Time `json:"began"`
	Outcome string    `json:"outcome,omitempty"` // for the person; empty: nobody has said yet
}

const (
	// changes begins the names of files with changes, which end with a uid.
	changes = "change-"
	// toldFor is how long a change is kept: whoever was cut off may come back the next morning.
	toldFor = 24 * time.Hour
)

func nameOfChange(uid int) string { return changes + strconv.Itoa(uid) }

// KeepChange keeps a change of a uid's password instead of an earlier one, and forgets those of others that are too
// old.
func (s Store) KeepChange(uid int, c Change) error {
	text, err := json.Marshal(c)
	if err != nil {
		return cannot("note a change in", err)
	}
	if err := s.prepare(); err != nil {
		return err
	}
	return s.locked(func() error {
		unfinished := s.path(temporary + nameOfChange(uid))
		err := os.WriteFile(unfinished, text, 0o600)
		if err == nil {
			err = os.Rename(unfinished, s.path(nameOfChange(uid)))
		}
		if err != nil {
			_ = os.Remove(unfinished)
			return cannot("note a change in", err)
		}
		return s.forgetChanges()
	})
}

func (s Store) forgetChanges() error {
	entries, err := os.ReadDir(s.dir())
	errs := []error{err}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), changes) {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > toldFor {
			errs = append(errs, os.Remove(s.path(e.Name())))
		}
	}
	return errors.Join(errs...)
}

// ChangeOf returns the last change of a uid's password; false: there is none that is worth a word.
func (s Store) ChangeOf(uid int) (c Change, there bool, err error) {
	text, err := os.ReadFile(s.path(nameOfChange(uid)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, false, nil
	case err != nil:
		return c, false, cannot("read a change in", err)
	}
	if json.Unmarshal(text, &c) != nil {
		return Change{}, false, nil //nolint:nilerr // it is none
	}
	age := time.Since(c.Began)
	return c, age >= 0 && age <= toldFor, nil
}
