// Package backup seals the state and the embedded credential stores into one file,
// and puts them back.
//
// The file is an age file (age-encryption.org/v1), sealed with a passphrase or for
// recipients; in it is a tar archive with a manifest and an image of each database,
// so that age(1), tar(1) and sqlite3(1) can look at it without us. Nothing is
// stopped: an image is one consistent reading, and a database that is put back
// changes in one transaction, which processes that have it open see.
//
// What a restore replaces is kept in a folder with the same content, which is not sealed.
//
//	backup.go  Write and Read: the sealed archive
//	folder.go  Keep and ReadFolder: what was replaced
//	image.go   the databases
package backup

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
)

// version is the archive's, in its manifest.
const version = 1

// maxImage bounds a database, and maxManifest the manifest.
const (
	maxImage    = 4 << 30
	maxManifest = 1 << 20
)

// Manifest says what is in a backup.
type Manifest struct {
	Version   int        `json:"shadowsync_backup"`
	Created   time.Time  `json:"created"`
	Node      string     `json:"node"`
	By        string     `json:"written_by"` // version of shadowsync
	Databases []Database `json:"databases"`
}

// Database is one of the databases.
type Database struct {
	Name        string `json:"name"`                  // in the archive
	Application string `json:"application,omitempty"` // whose store it is; empty: the state
	Path        string `json:"-"`                     // on this system
	Image       []byte `json:"-"`
}

// Errors of a file that cannot be used.
var (
	ErrNotBackup = errors.New("not a backup of shadowsync")
	ErrNewer     = errors.New("written by a newer shadowsync")
)

// Write seals a backup into the file at path, in place of what was there, readable
// by its owner alone: all of it, or nothing.
func Write(path string, m Manifest, recipients ...age.Recipient) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".shadowsync-backup-*") // 0600
	if err != nil {
		return fmt.Errorf("cannot write the backup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot write the backup: %w", err), f.Close(), os.Remove(f.Name()))
		}
	}()
	if err := seal(f, m, recipients); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close(), f.Close())
}

func seal(w io.Writer, m Manifest, recipients []age.Recipient) error {
	m.Version = version
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	sealed, err := age.Encrypt(w, recipients...)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(sealed)
	add := func(name string, content []byte) error {
		h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: m.Created, Format: tar.FormatPAX}
		if err := archive.WriteHeader(h); err != nil {
			return err
		}
		_, err := archive.Write(content)
		return err
	}
	if err := add(manifestName, text); err != nil {
		return err
	}
	for _, d := range m.Databases {
		if err := add(d.Name, d.Image); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), sealed.Close())
}

// Read opens a backup whole: a file that was cut off or altered gives nothing.
func Read(path string, identities ...age.Identity) (Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, fmt.Errorf("cannot read the backup: %w", err)
	}
	defer f.Close()
	m, err := unseal(f, identities)
	if err != nil {
		return Manifest{}, fmt.Errorf("cannot read the backup %s: %w", path, err)
	}
	return m, nil
}

func unseal(r io.Reader, identities []age.Identity) (m Manifest, err error) {
	opened, err := age.Decrypt(r, identities...)
	if err != nil {
		return m, err
	}
	archive := tar.NewReader(opened)
	err = m.load(func(name string, most int64) ([]byte, error) { return next(archive, name, most) })
	if err != nil {
		return m, err
	}
	_, err = io.Copy(io.Discard, opened) // to the end, which age authenticates
	return m, err
}

// load reads the manifest, and then the images that it names.
func (m *Manifest) load(part func(name string, most int64) ([]byte, error)) error {
	text, err := part(manifestName, maxManifest)
	if err == nil {
		err = m.parse(text)
	}
	for i := 0; err == nil && i < len(m.Databases); i++ {
		d := &m.Databases[i]
		d.Image, err = part(d.Name, maxImage)
	}
	return err
}

func (m *Manifest) parse(text []byte) error {
	if err := json.Unmarshal(text, m); err != nil || m.Version < 1 {
		return ErrNotBackup
	}
	if m.Version > version {
		return ErrNewer
	}
	return nil
}

func next(archive *tar.Reader, name string, most int64) ([]byte, error) {
	h, err := archive.Next()
	if errors.Is(err, io.EOF) || err == nil && (h.Name != name || h.Size > most) {
		return nil, ErrNotBackup
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(archive)
}
