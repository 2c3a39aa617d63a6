package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// journalName is the file in the staging folder that says that a swap has reached its commit.
const journalName = "journal.json"

// journal is what a killed swap leaves for the next run.
type journal struct {
	At      state.Position `json:"at"`      // the last record of the new trail
	Kept    string         `json:"kept"`    // the name of the folder, in the state's
	Created time.Time      `json:"created"` // when the backup was made
	Stores  []string       `json:"stores"`
}

func (s System) journal() string { return s.path(stagingName, journalName) }

func (s System) write(j journal) error {
	err := writeJSON(s.journal(), j)
	if err == nil {
		err = errors.Join(flush(filepath.Dir(s.journal())), flush(s.path()))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write the journal: %w", err), s.forget())
	}
	return nil
}

// forget removes the journal: the swap is done, or has changed nothing.
func (s System) forget() error {
	err := os.Remove(s.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, flush(filepath.Dir(s.journal())))
}

// lateError is the error of a store that failed after the state was committed.
type lateError struct{ error }

func (e *lateError) Unwrap() error { return e.error }

// UndoError is the error of a restore that could be neither finished nor undone. The next run tries
// again.
type UndoError struct {
	Kept    string
	Damaged bool // as in Swapped: the former state cannot be put back
	Err     error
}

func (e *UndoError) Error() string {
	return fmt.Sprintf("the state was restored, but a store could not be: %v; the next run tries again, and what was there is in %s", e.Err, e.Kept)
}
func (e *UndoError) Unwrap() error { return e.Err }

// late goes on after a store failed. It tries once more with another worker, because the one that
// failed may have been killed; otherwise it undoes everything.
func (s System) late(ctx context.Context, cause *lateError, event func(was string) shadowsync.Event, kept string, whole bool) error {
	ctx = context.WithoutCancel(ctx)
	_, again := s.forward(ctx)
	if again == nil {
		return nil
	}
	err := s.undo(ctx, event, kept)
	if err != nil {
		return &UndoError{s.Folder.Shown(kept), !whole, errors.Join(cause, again, err)}
	}
	return cause.error
}

// undo puts back what was kept. If it is killed, the journal of the swap remains, and the next run
// finishes that swap.
func (s System) undo(ctx context.Context, event func(was string) shadowsync.Event, kept string) (err error) {
	folder := s.path(stagingName, "undo")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	file, err := rootonly.Folder(s.Root, filepath.Join(s.Dir, kept))
	if err != nil {
		return err
	}
	source := &Source{kept, true, file}
	defer source.Close()
	c, err := s.Check(ctx, &Staging{Path: folder}, source)
	if err != nil {
		return err
	}
	held, err := state.Hold(ctx, s.Root, s.Dir, c.statePath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	stores, err := holdAll(ctx, c.stores)
	defer stores.close()
	if err == nil {
		err = stores.replace(ctx)
	}
	if err == nil {
		_, err = held.Replace(ctx, s.union(c, new(Swapped)), func(was string) shadowsync.Event {
			e := event(was)
			e.Action, e.Reason = "restore-undone", "a store could not be written; everything is as it was"
			return e
		})
	}
	if err == nil {
		err = stores.commit(ctx)
	}
	if err == nil {
		err = held.Commit(ctx)
	}
	if err != nil {
		return err
	}
	return s.forget()
}

// Interrupted reports whether a restore was killed at its commit. It costs one system call.
func (s System) Interrupted() bool {
	_, err := os.Lstat(s.journal())
	return err == nil
}

// Resume finishes a restore that was killed after its state was committed, and forgets one that was
// killed before. It returns a text that says which. The caller holds the engine lock.
func (s System) Resume(ctx context.Context) (said string, err error) {
	j, err := s.readJournal()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, errUnwritten):
		return "a restore was interrupted before it changed anything", errors.Join(s.forget(), s.clean())
	case err != nil:
		return "", fmt.Errorf("cannot finish the restore that was interrupted: %w", err)
	}
	done, err := s.committed(ctx, j)
	if err != nil {
		return "", fmt.Errorf("cannot finish the restore that was interrupted: %w", err)
	}
	made := j.Created.Format(time.RFC3339)
	if !done {
		said = "the restore of the backup of " + made + " was interrupted before it changed anything"
		return said, errors.Join(s.forget(), s.clean())
	}
	gone, err := s.forward(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot finish the restore that was interrupted: %w", err)
	}
	said = "the restore of the backup of " + made + " was interrupted, and is finished now; what was there is in " + s.Folder.Shown(j.Kept)
	if len(gone) > 0 {
		said += "; the credential store of " + strings.Join(gone, ", ") + " is as it was, because the configuration no longer has it"
	}
	return said, s.clean()
}

// clean removes the staging folder.
func (s System) clean() error { return os.RemoveAll(s.path(stagingName)) }

// errUnwritten is the error for a truncated journal: its writer was killed, or the power failed.
// Nothing was committed then, because the journal is durable before the state is committed.
var errUnwritten = errors.New("the journal of the restore is cut off")

func (s System) readJournal() (j journal, err error) {
	text, err := os.ReadFile(s.journal())
	if err == nil && json.Unmarshal(text, &j) != nil {
		err = errUnwritten
	}
	return j, err
}

// committed reports whether the state is the new one. A state that cannot be read is not.
func (s System) committed(ctx context.Context, j journal) (bool, error) {
	db, err := state.OpenIn(ctx, s.Root, s.Dir)
	if errors.Is(err, shadowsync.ErrMalformed) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	done, err := db.Holds(ctx, j.At)
	return done, errors.Join(err, db.Close())
}

// forward writes the stores' rows again, from the staging folder. It skips a store that the
// configuration no longer has: such a store cannot be written, and must not block the rest.
func (s System) forward(ctx context.Context) (gone []string, err error) {
	j, err := s.readJournal()
	if err != nil {
		return nil, err
	}
	var list []stored
	for _, application := range j.Stores {
		store, err := s.store(application)
		if err != nil {
			gone = append(gone, application)
			continue
		}
		rows, err := store.Image.Read(ctx, s.path(stagingName, store.fileName()))
		if err != nil {
			return nil, err
		}
		list = append(list, stored{store, rows})
	}
	stores, err := holdAll(ctx, list)
	defer stores.close()
	if err == nil {
		err = stores.replace(ctx)
	}
	if err == nil {
		err = stores.commit(ctx)
	}
	if err != nil {
		return nil, err
	}
	return gone, s.forget()
}
