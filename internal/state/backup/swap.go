package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// A swap is all or nothing. First the present databases are kept. Then the state and every
// store are locked, so that no other lock can stop the swap later. Then the rows are
// written, in one transaction for each database. The journal records the last record of the
// new trail. The state is committed first, then the stores.
//
// A process that is killed before the state is committed has changed nothing: the next
// process that opens the databases rolls the transactions back. If it is killed later, the
// swap counts as done: Resume finds the record in the trail and writes the stores' rows again.

// Steps of a swap, for tests that kill it.
const (
	StepKept      = "kept"
	StepHeld      = "held"
	StepWritten   = "written"
	StepJournal   = "journal"
	StepCommitted = "committed" // the state
	StepStores    = "stores"
)

// Swapped is the result of a swap.
type Swapped struct {
	Kept string // the folder with what was replaced, for people
	// Damaged: the replaced state could not be read. Kept holds its file, and so is not a backup.
	Damaged bool
	// Aside: the replaced state could not be read, and its name belongs to another file now.
	// Processes that have it open must open it again.
	Aside bool
	// Factors are the second factors from now on, and where each comes from.
	Factors []factor.Merged
	// Key says that the key of the second factors is the backup's, because there was none that could be used.
	Key bool
}

// place replaces a state: *state.Held, or *aside.
type place interface {
	Replace(ctx context.Context, merge state.MergeFactors, event func(was string) shadowsync.Event) (state.Position, error)
	Commit(ctx context.Context) error
	Close() error
}

// Swap replaces the databases by the content, and keeps the replaced ones with the manifest m in a
// new folder below KeptName. It appends the event to the new trail. The caller holds the engine
// lock. An error means that everything is as it was, unless it is an *UndoError.
func (s System) Swap(ctx context.Context, c *Content, m Manifest, event func(was, kept string) shadowsync.Event) (done Swapped, err error) {
	made, err := makeStores(ctx, c.stores)
	if err != nil {
		return done, errors.Join(err, undoAll(made))
	}
	kept, whole, err := s.keep(ctx, m, storesOf(c.stores))
	if err != nil {
		return done, errors.Join(fmt.Errorf("cannot keep what is replaced: %w", err), undoAll(made))
	}
	s.at(StepKept)
	done.Kept, done.Damaged = s.Folder.Shown(kept), !whole
	tell := func(was string) shadowsync.Event { return event(was, done.Kept) }
	err = s.swap(ctx, c, journal{Kept: kept, Created: c.Created}, &done, tell)
	var late *lateError
	switch {
	case err == nil:
		return done, nil
	case errors.As(err, &late):
		return done, s.late(ctx, late, tell, kept, whole)
	}
	if done.Key {
		if failed := s.revertKey(s.path(kept)); failed != nil {
			return Swapped{}, errors.Join(err, fmt.Errorf("the former key stays in %s: %w", done.Kept, failed), undoAll(made))
		}
	}
	return Swapped{}, errors.Join(err, os.RemoveAll(s.path(kept)), undoAll(made))
}

func (s System) at(step string) {
	if s.Probe != nil {
		s.Probe(step)
	}
}

func storesOf(list []stored) (stores []Store) {
	for _, s := range list {
		stores = append(stores, s.Store)
	}
	return stores
}

// makeStores creates the stores that are missing, as on a new machine.
func makeStores(ctx context.Context, list []stored) (made []func() error, err error) {
	for _, s := range list {
		undo, err := s.Make(ctx)
		if err != nil {
			return made, fmt.Errorf("cannot make the credential store of %s: %w", s.Application, err)
		}
		made = append(made, undo)
	}
	return made, nil
}

func undoAll(made []func() error) (err error) {
	for _, undo := range made {
		err = errors.Join(err, undo())
	}
	return err
}

// swap locks, writes and commits: in place if the present state can still be read, else aside.
func (s System) swap(ctx context.Context, c *Content, j journal, done *Swapped, event func(was string) shadowsync.Event) error {
	held, err := state.Hold(ctx, s.Root, s.Dir, c.statePath())
	if err == nil {
		err = s.swapIn(ctx, held, c, j, done, event)
	}
	if !errors.Is(err, shadowsync.ErrMalformed) || errors.As(err, new(*storeError)) || errors.As(err, new(*lateError)) {
		return err
	}
	done.Aside = true
	return s.swapIn(ctx, &aside{s.path(), c.statePath()}, c, j, done, event)
}

// storeError is an error of a store, not of the state.
type storeError struct {
	application string
	err         error
}

func (e *storeError) Error() string {
	return fmt.Sprintf("cannot write the credential store of %s: %v", e.application, e.err)
}
func (e *storeError) Unwrap() error { return e.err }

func (s System) swapIn(ctx context.Context, p place, c *Content, j journal, done *Swapped, event func(was string) shadowsync.Event) (err error) {
	defer func() { err = errors.Join(err, p.Close()) }()
	stores, err := holdAll(ctx, c.stores)
	defer stores.close()
	if err != nil {
		return err
	}
	s.at(StepHeld)
	if err := stores.replace(ctx); err != nil {
		return err
	}
	if j.At, err = p.Replace(ctx, s.union(c, done), event); err != nil {
		return err
	}
	s.at(StepWritten)
	for _, store := range c.stores {
		j.Stores = append(j.Stores, store.Application)
	}
	if err := s.write(j); err != nil {
		return err
	}
	s.at(StepJournal)
	if err := p.Commit(ctx); err != nil {
		return errors.Join(err, s.forget())
	}
	s.at(StepCommitted)
	if err := stores.commit(context.WithoutCancel(ctx)); err != nil {
		return &lateError{err}
	}
	s.at(StepStores)
	return s.forget()
}

// heldStores are stores that no other process can read or write.
type heldStores []heldStore

type heldStore struct {
	stored
	open driver.Embedded
	held driver.Held
}

func holdAll(ctx context.Context, list []stored) (stores heldStores, err error) {
	for _, s := range list {
		h := heldStore{stored: s}
		if h.open, err = s.Open(ctx); err != nil {
			return stores, &storeError{s.Application, err}
		}
		if h.held, err = h.open.Hold(ctx); err != nil {
			return stores, &storeError{s.Application, errors.Join(err, h.open.Close())}
		}
		stores = append(stores, h)
	}
	return stores, nil
}

func (h heldStores) replace(ctx context.Context) error {
	for _, s := range h {
		if err := s.held.Replace(ctx, s.rows); err != nil {
			return &storeError{s.Application, err}
		}
	}
	return nil
}

func (h heldStores) commit(ctx context.Context) error {
	for _, s := range h {
		if err := s.held.Commit(ctx); err != nil {
			return &storeError{s.Application, err}
		}
	}
	return nil
}

func (h heldStores) close() {
	for _, s := range h {
		_, _ = s.held.Close(), s.open.Close() // this undoes what was not committed; so does the end of the worker
	}
}

// aside replaces a state that cannot be read: the new database takes its name.
type aside struct{ dir, fresh string }

func (a *aside) Replace(ctx context.Context, merge state.MergeFactors, event func(was string) shadowsync.Event) (state.Position, error) {
	live := state.SalvageFactors(ctx, filepath.Join(a.dir, state.FileName))
	at, err := state.Note(ctx, a.fresh, live, merge, event("a record that cannot be read any more"))
	if err == nil {
		err = os.Remove(a.fresh + "-journal")
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return at, errors.Join(err, flush(a.fresh))
}

// Commit exchanges the two files. First it removes the old one's journal, of which a copy was kept:
// SQLite would take it for the new file's.
func (a *aside) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := filepath.Join(a.dir, state.FileName)
	if err := os.Remove(name + "-journal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, a.fresh, unix.AT_FDCWD, name, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) {
		err = os.Rename(a.fresh, name)
	}
	return errors.Join(err, flush(a.dir))
}

func (a *aside) Close() error { return nil }
