package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
)

// ledger writes files and folders that remove must take away again. Each is on
// record in the state before it is made, so that a setup that was killed can be
// undone. A folder's path on record ends in "/".
type ledger struct {
	root string
	db   *state.DB
}

// folderMark stands where a file's record has its digest.
const folderMark = "folder"

func (l *ledger) path(name string) string { return filepath.Join(l.root, name) }

// exists tells whether there is a state at all; opening it would make one.
func (l *ledger) exists() bool {
	_, err := os.Stat(l.path(filepath.Join(engine.StateDir, state.FileName)))
	return err == nil
}

func (l *ledger) open(ctx context.Context) (*state.DB, error) {
	if l.db != nil {
		return l.db, nil
	}
	// /var/lib is part of every system; a mounted one without it is a wrong --root.
	db, err := state.Open(ctx, l.path(engine.StateDir))
	if err != nil {
		return nil, fmt.Errorf("cannot keep a record of what is set up: %w", err)
	}
	l.db = db
	return db, nil
}

func (l *ledger) close() {
	if l.db != nil {
		_ = l.db.Close() // every call that mattered was acknowledged
		l.db = nil
	}
}

// entries returns the record without making one.
func (l *ledger) entries(ctx context.Context) ([]state.SetupFile, error) {
	if !l.exists() {
		return nil, nil
	}
	db, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	return db.Manifest(ctx)
}

func (l *ledger) find(ctx context.Context, name string) (state.SetupFile, bool, error) {
	entries, err := l.entries(ctx)
	i := slices.IndexFunc(entries, func(f state.SetupFile) bool { return f.Path == name })
	if err != nil || i < 0 {
		return state.SetupFile{}, false, err
	}
	return entries[i], true, nil
}

// put replaces, or with an empty Wrote drops, one entry.
func (l *ledger) put(ctx context.Context, entry state.SetupFile) error {
	db, err := l.open(ctx)
	if err != nil {
		return err
	}
	entries, err := db.Manifest(ctx)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(f state.SetupFile) bool { return f.Path == entry.Path })
	if entry.Wrote != "" {
		entries = append(entries, entry)
	}
	return db.SetManifest(ctx, entries)
}

// errForeign: a file is in the place of ours that setup has not written.
var errForeign = errors.New("it is there already, and setup has not written it; move it away first")

// write puts a file in place, its folder too. It replaces only what setup wrote.
func (l *ledger) write(ctx context.Context, name string, text []byte, mode fs.FileMode) error {
	_, known, err := l.find(ctx, name)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(l.path(name))
	if err == nil && !known && string(old) != string(text) {
		return fmt.Errorf("cannot write %s: %w", name, errForeign)
	}
	if err := l.makeFolder(ctx, filepath.Dir(name)); err != nil {
		return err
	}
	if err := l.put(ctx, state.SetupFile{Path: name, Wrote: digest(text)}); err != nil {
		return err
	}
	return replace(l.path(name), text, mode)
}

// changed tells whether a file on record is there and not as setup wrote it.
func (l *ledger) changed(ctx context.Context, name string) (bool, error) {
	entry, known, err := l.find(ctx, name)
	if err != nil || !known {
		return false, err
	}
	text, err := os.ReadFile(l.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && digest(text) != entry.Wrote, err
}

func (l *ledger) makeFolder(ctx context.Context, name string) error {
	if _, err := os.Stat(l.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.put(ctx, state.SetupFile{Path: name + "/", Wrote: folderMark}); err != nil {
		return err
	}
	if err := os.Mkdir(l.path(name), 0o755); err != nil {
		return err
	}
	return os.Chmod(l.path(name), 0o755) // whatever the umask: systemd's tools read here for everybody
}

// takeBack removes a file that is as setup wrote it, and then its folder if setup
// made it and nobody else uses it. It tells whether a changed file was left.
func (l *ledger) takeBack(ctx context.Context, name string) (left bool, err error) {
	_, known, err := l.find(ctx, name)
	if err != nil || !known {
		return false, err
	}
	if left, err = l.changed(ctx, name); err != nil || left {
		return left, err
	}
	if err := os.Remove(l.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := l.removeFolder(ctx, filepath.Dir(name)); err != nil {
		return false, err
	}
	return false, l.put(ctx, state.SetupFile{Path: name})
}

func (l *ledger) removeFolder(ctx context.Context, name string) error {
	_, known, err := l.find(ctx, name+"/")
	if err != nil || !known {
		return err
	}
	err = os.Remove(l.path(name))
	if errors.Is(err, unix.ENOTEMPTY) {
		return nil // others keep theirs there
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.put(ctx, state.SetupFile{Path: name + "/"})
}

// files lists the recorded files whose name ends so.
func (l *ledger) files(ctx context.Context, suffix string) ([]string, error) {
	entries, err := l.entries(ctx)
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Path, suffix) {
			names = append(names, e.Path)
		}
	}
	return names, err
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// replace writes a file so that a reader, or a power loss, meets the old or the new one.
func replace(path string, text []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".shadowsync-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
