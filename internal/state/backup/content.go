package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// NoStoreError is the error for a store in a backup that the configuration does not have.
type NoStoreError struct{ Application string }

func (e *NoStoreError) Error() string {
	return fmt.Sprintf("the configuration has no embedded store of %q", e.Application)
}

// Content is the content of a backup, checked as a whole and rebuilt in a folder that only root can
// access.
type Content struct {
	Manifest
	stores []stored
	key    []byte // of the second factors; nil: it is not in it
	folder string
}

// stored is the content of a store.
type stored struct {
	Store
	rows []driver.Row
}

// Check reads all of a backup and prepares it for Swap. It changes nothing.
func (s System) Check(ctx context.Context, st *Staging, source *Source, identities ...age.Identity) (*Content, error) {
	if size, err := source.size(); err != nil {
		return nil, err
	} else if err := room(st.Path, 3*size); err != nil { // unpacked, rebuilt, and the present databases kept
		return nil, err
	}
	images := filepath.Join(st.Path, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		return nil, err
	}
	m, err := source.Unpack(ctx, images, identities...)
	if err != nil {
		return nil, err
	}
	c := &Content{Manifest: m, folder: st.Path}
	for i, d := range m.Databases {
		if err := c.renew(ctx, s, d, numbered(images, i)); err != nil {
			return nil, fmt.Errorf("cannot use the backup %s: %s: %w", source.Path, d.Name, err)
		}
	}
	if m.FactorKey != "" {
		if c.key, err = readKey(images); err != nil {
			return nil, fmt.Errorf("cannot use the backup %s: %w", source.Path, err)
		}
	}
	return c, errors.Join(os.RemoveAll(images), flush(st.Path))
}

// size is the size of a backup's databases, or a little more.
func (s *Source) size() (int64, error) {
	if !s.Folder {
		info, err := s.file.Stat()
		return info.Size(), err
	}
	entries, err := s.file.ReadDir(-1)
	var sum int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			sum += min(info.Size(), state.MaxImage)
		}
	}
	return sum, err
}

func (c *Content) renew(ctx context.Context, s System, d Database, image string) error {
	if d.Application == "" {
		return state.Renew(ctx, image, c.statePath())
	}
	store, err := s.store(d.Application)
	if err != nil {
		return err
	}
	rows, err := store.Image.Read(ctx, image)
	if err != nil {
		return err
	}
	c.stores = append(c.stores, stored{store, rows})
	return store.Image.Write(ctx, filepath.Join(c.folder, store.fileName()), rows)
}

func (s System) store(application string) (Store, error) {
	for _, store := range s.Stores {
		if store.Application == application {
			return store, nil
		}
	}
	return Store{}, &NoStoreError{application}
}

func (c *Content) statePath() string { return filepath.Join(c.folder, state.FileName) }

// State opens the state that the backup holds. Swap also restores what is changed in it.
func (c *Content) State(ctx context.Context) (*state.DB, error) {
	return state.OpenImage(ctx, c.statePath())
}

// Rows returns the accounts of an application's store, by name; false: the backup does not hold it.
func (c *Content) Rows(application string) (map[string]driver.Row, bool) {
	for _, s := range c.stores {
		if s.Application != application {
			continue
		}
		rows := make(map[string]driver.Row, len(s.rows))
		for _, r := range s.rows {
			rows[r.Name] = r
		}
		return rows, true
	}
	return nil, false
}
