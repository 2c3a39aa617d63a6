package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
)

// ledger writes the files and folders that remove must delete again. It records each one in the
// state before it makes it, so that an interrupted setup can be undone. The recorded path of a
// folder ends in "/".
type ledger struct {
	root string
	db   *state.DB
}

// folderMark is recorded for a folder in place of a file's digest.
const folderMark = "folder"

// exists reports whether there is a state; opening it would create one.
func (l *ledger) exists() bool {
	_, err := inroot.Stat(l.root, filepath.Join(engine.StateDir, state.FileName))
	return err == nil
}

func (l *ledger) open(ctx context.Context) (*state.DB, error) {
	if l.db != nil {
		return l.db, nil
	}
	// Every system has /var/lib; without it --root is wrong.
	db, err := state.OpenIn(ctx, l.root, engine.StateDir)
	if err != nil {
		return nil, fmt.Errorf("cannot keep a record of what is set up: %w", err)
	}
	l.db = db
	return db, nil
}

func (l *ledger) close() {
	if l.db != nil {
		_ = l.db.Close() // all calls that matter have returned
		l.db = nil
	}
}

// entries returns the recorded files without creating a state.
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

// put replaces one entry, or deletes it if Wrote is empty.
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

// errForeign: a file that setup did not write is in the place of ours.
var errForeign = errors.New("it is there already, and setup has not written it; move it away first")

// write writes a file, and creates its folder. It replaces only a file that setup wrote.
func (l *ledger) write(ctx context.Context, name string, text []byte, mode fs.FileMode) error {
	_, known, err := l.find(ctx, name)
	if err != nil {
		return err
	}
	old, err := inroot.ReadFile(l.root, name)
	if err == nil && !known && string(old) != string(text) {
		return fmt.Errorf("cannot write %s: %w", name, errForeign)
	}
	if err := l.makeFolder(ctx, filepath.Dir(name)); err != nil {
		return err
	}
	if err := l.put(ctx, state.SetupFile{Path: name, Wrote: digest(text)}); err != nil {
		return err
	}
	return inroot.Replace(l.root, name, text, mode)
}

// changed reports whether a recorded file exists and differs from what setup wrote.
func (l *ledger) changed(ctx context.Context, name string) (bool, error) {
	entry, known, err := l.find(ctx, name)
	if err != nil || !known {
		return false, err
	}
	text, err := inroot.ReadFile(l.root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && digest(text) != entry.Wrote, err
}

func (l *ledger) makeFolder(ctx context.Context, name string) error {
	if _, err := inroot.Stat(l.root, name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.put(ctx, state.SetupFile{Path: name + "/", Wrote: folderMark}); err != nil {
		return err
	}
	return inroot.Mkdir(l.root, name, 0o755) // systemd's tools read it for every user
}

// takeBack removes a file if it is unchanged since setup wrote it, and then its folder if setup
// made it and it is empty. left reports that a changed file was left.
func (l *ledger) takeBack(ctx context.Context, name string) (left bool, err error) {
	_, known, err := l.find(ctx, name)
	if err != nil || !known {
		return false, err
	}
	if left, err = l.changed(ctx, name); err != nil || left {
		return left, err
	}
	if err := inroot.Remove(l.root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
	err = inroot.Remove(l.root, name)
	if errors.Is(err, unix.ENOTEMPTY) {
		return nil // other files are in it
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.put(ctx, state.SetupFile{Path: name + "/"})
}

// files lists the recorded paths with this suffix.
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
