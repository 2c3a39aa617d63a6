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
)

// manifestName is the manifest's, in the archive and in a folder.
const manifestName = "manifest.json"

// Keep copies the databases of m as they are now into a new folder below dir, which only
// the owner can read, and returns it: all of them, or nothing. It never replaces one.
func Keep(ctx context.Context, dir string, m Manifest) (folder string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot keep what is replaced: %w", err)
	}
	if folder, err = newFolder(filepath.Join(dir, m.Created.UTC().Format("20060102T150405Z"))); err != nil {
		return "", fmt.Errorf("cannot keep what is replaced: %w", err)
	}
	if err := fill(ctx, folder, m); err != nil {
		return "", fmt.Errorf("cannot keep what is replaced: %w", errors.Join(err, os.RemoveAll(folder)))
	}
	return folder, errors.Join(flush(folder), flush(dir), flush(filepath.Dir(dir)))
}

// newFolder makes a folder of that name, or with a number behind it where there is one.
func newFolder(name string) (string, error) {
	for n := 1; ; n++ {
		folder := name
		if n > 1 {
			folder = fmt.Sprintf("%s-%d", name, n)
		}
		if err := os.Mkdir(folder, 0o700); !errors.Is(err, fs.ErrExist) {
			return folder, err
		}
	}
}

func fill(ctx context.Context, folder string, m Manifest) error {
	m.Version = version
	for _, d := range m.Databases {
		if err := CopyTo(ctx, d.Path, filepath.Join(folder, d.Name)); err != nil {
			return err
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, manifestName)
	return errors.Join(os.WriteFile(path, text, 0o600), flush(path))
}

// ReadFolder reads what Keep has left.
func ReadFolder(path string) (Manifest, error) {
	m, err := readFolder(path)
	if err != nil {
		return Manifest{}, fmt.Errorf("cannot read the backup %s: %w", path, err)
	}
	return m, nil
}

func readFolder(path string) (m Manifest, err error) {
	root, err := os.OpenRoot(path) // names of the manifest lead nowhere else
	if err != nil {
		return m, err
	}
	defer root.Close()
	err = m.load(func(name string, most int64) ([]byte, error) { return readFrom(root, name, most) })
	return m, err
}

func readFrom(root *os.Root, name string, most int64) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = ErrNotBackup
	}
	return text, err
}
