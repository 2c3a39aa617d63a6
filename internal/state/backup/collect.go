package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// damagedName is the name under which a state that cannot be read is kept.
const damagedName = "state.db.damaged"

// Collect writes an image of each database, as it is now, into a folder that only root can access.
func (s System) Collect(ctx context.Context, folder string) ([]Database, error) {
	if err := s.collectState(ctx, folder); err != nil {
		return nil, err
	}
	list, err := collectStores(ctx, folder, s.Stores)
	return append([]Database{{Name: state.FileName}}, list...), err
}

func (s System) collectState(ctx context.Context, folder string) error {
	path := s.path(state.FileName)
	if info, err := os.Lstat(path); err == nil {
		if info.Size() > state.MaxImage {
			return fmt.Errorf("%s has %d bytes, and a backup holds at most %d of a database: set audit.keep_days", s.Folder.Shown(state.FileName), info.Size(), state.MaxImage)
		}
		if err := room(folder, info.Size()); err != nil {
			return err
		}
	}
	db, err := state.OpenIn(ctx, s.Root, s.Dir)
	if err != nil {
		return err
	}
	return errors.Join(db.Copy(ctx, filepath.Join(folder, state.FileName)), db.Close())
}

func collectStores(ctx context.Context, folder string, stores []Store) (list []Database, err error) {
	for _, store := range stores {
		d := Database{Name: store.fileName(), Application: store.Application}
		if err := store.collect(ctx, filepath.Join(folder, d.Name)); err != nil {
			return nil, fmt.Errorf("cannot copy the credential store of %s: %w", store.Application, err)
		}
		list = append(list, d)
	}
	return list, nil
}

func (s Store) fileName() string { return "store-" + s.Application + ".db" }

func (s Store) collect(ctx context.Context, path string) error {
	rows, err := s.all(ctx)
	if err != nil {
		return err
	}
	return s.Image.Write(ctx, path, rows)
}

// all returns the accounts that the store holds now.
func (s Store) all(ctx context.Context) ([]driver.Row, error) {
	store, err := s.Open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := store.All(ctx)
	return rows, errors.Join(err, store.Close())
}

// KeptName is the folder, beside the state, in which a restore keeps what it replaced.
const KeptName = "before-restore"

// keep copies the present databases into a new folder below KeptName, which only root can read, and
// returns its name: all of them, or nothing. It never replaces an older one. Of a state that cannot
// be read it keeps the file; the folder is then not a whole backup.
func (s System) keep(ctx context.Context, m Manifest, stores []Store) (name string, whole bool, err error) {
	if err := os.Mkdir(s.path(KeptName), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", false, err
	}
	all, err := rootonly.Folder(s.Root, filepath.Join(s.Dir, KeptName))
	if err != nil {
		return "", false, err
	}
	defer all.Close()
	if name, err = newFolder(all, m.Created.UTC().Format("20060102T150405Z")); err != nil {
		return "", false, err
	}
	name = filepath.Join(KeptName, name)
	folder := s.path(name)
	if m.Databases, err = s.keepDatabases(ctx, folder, stores); err == nil {
		m.FactorKey, err = s.keepKey(folder)
	}
	if err == nil {
		m.Version = version
		err = writeJSON(filepath.Join(folder, manifestName), m)
	}
	if err != nil {
		return "", false, errors.Join(err, os.RemoveAll(folder))
	}
	whole = slices.ContainsFunc(m.Databases, func(d Database) bool { return d.Application == "" })
	return name, whole, errors.Join(flush(folder), all.Sync(), flush(s.path()))
}

func (s System) keepDatabases(ctx context.Context, folder string, stores []Store) (list []Database, err error) {
	err = s.collectState(ctx, folder)
	switch {
	case err == nil:
		list = append(list, Database{Name: state.FileName})
	case errors.Is(err, shadowsync.ErrMalformed):
		if err := os.Remove(filepath.Join(folder, state.FileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := s.keepDamaged(ctx, folder); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	more, err := collectStores(ctx, folder, stores)
	return append(list, more...), err
}

// newFolder makes a folder of that name in another folder, with a number appended if the name is
// taken.
func newFolder(in *os.File, name string) (string, error) {
	for n := 1; ; n++ {
		folder := name
		if n > 1 {
			folder = fmt.Sprintf("%s-%d", name, n)
		}
		if err := unix.Mkdirat(int(in.Fd()), folder, 0o700); !errors.Is(err, unix.EEXIST) {
			return folder, err
		}
	}
}

// keepDamaged copies the files of a state that cannot be read.
func (s System) keepDamaged(ctx context.Context, folder string) error {
	for name, as := range map[string]string{state.FileName: damagedName, state.FileName + "-journal": damagedName + "-journal"} {
		f, err := os.OpenFile(s.path(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			if err = room(folder, info.Size()); err == nil {
				err = spool(io.LimitReader(reader{ctx, f}, state.MaxImage), filepath.Join(folder, as))
			}
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// writeJSON writes a durable file.
func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// flush makes a file or folder durable.
func flush(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
