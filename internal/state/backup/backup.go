// Package backup seals the state, the embedded credential stores and the key of the second factors
// into one file, and restores them from it.
//
// The file is an age file (age-encryption.org/v1), sealed with a passphrase or for
// recipients. It contains a tar archive with a manifest and an image of each database,
// so that age(1), tar(1) and sqlite3(1) can read it without shadowsync. An image holds the
// rows of the database in newly created tables. The last member is the key. Nothing is stopped meanwhile.
//
// It promises:
//
//   - Root opens no file in a folder that another user can change. The rows of a store
//     pass through the store's own worker; all temporary files are in a folder of the
//     state's.
//   - A restore is all or nothing. Every database is locked before the first row is
//     written. A restore that fails is undone. One that was killed is finished or undone
//     by the next run, which reports it: see swap.go.
//   - Every input is bounded, is a regular file of root's, and has exactly our tables.
//
// What a restore replaces is kept in a folder with the same content, which is not sealed.
//
//	backup.go   the manifest, and the sealed archive
//	file.go     the file, and the folder with what was replaced
//	staging.go  the folder in which a backup is made or unpacked
//	collect.go  Collect: images of the present databases
//	key.go      the key of the second factors, in a backup and after a restore
//	content.go  Content: the checked content of a backup
//	swap.go     Swap: replaces the databases by that content
//	resume.go   Resume: finishes or forgets a restore that was killed
package backup

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// version is the version of the archive, in its manifest.
const version = 1

// Limits of the input: the size of the manifest, and the number of databases.
const (
	maxManifest  = 1 << 20
	maxDatabases = 256
)

// Manifest says what is in a backup.
type Manifest struct {
	Version   int        `json:"shadowsync_backup"`
	Created   time.Time  `json:"created"`
	Node      string     `json:"node"`
	Machine   string     `json:"machine,omitempty"` // a digest of machine-id(5)
	By        string     `json:"written_by"`        // version of shadowsync
	Databases []Database `json:"databases"`
	// FactorKey is the name of the file with the key of the second factors; empty: it is not in it.
	FactorKey string `json:"factor_key,omitempty"`
}

// Database is one of the databases.
type Database struct {
	Name        string `json:"name"`                  // of the file in the archive
	Application string `json:"application,omitempty"` // the application of the store; empty: the state
}

// Errors of a file that cannot be used.
var (
	ErrNotBackup = errors.New("not a backup of shadowsync")
	ErrNewer     = errors.New("written by a newer shadowsync")
	ErrCutOff    = errors.New("it is cut off or was altered")
)

// Store is an embedded credential store of the configuration.
type Store struct {
	Application string
	Image       *driver.Image
	// Make creates an empty store if it is missing, and returns a function that undoes that.
	Make func(context.Context) (undo func() error, err error)
	// Open opens the store in a worker as its driver requires.
	Open func(context.Context) (driver.Embedded, error)
}

// System is the system that is backed up or restored.
type System struct {
	Root   string         // "/" or where a system is mounted
	Dir    string         // the state's folder beneath it
	Folder *inroot.Folder // the same, open
	Stores []Store
	Key    factor.Key        // of the second factors; only a factor.KeyFile can be put back
	Probe  func(step string) // called after each step of a swap; nil in production
}

// Close closes the folder, and ends what the key needs.
func (s System) Close() error {
	if k, ok := s.Key.(interface{ Close() }); ok {
		k.Close()
	}
	return s.Folder.Close()
}

// path is the path of a name in the state's folder, valid in this process.
func (s System) path(name ...string) string { return s.Folder.Path(filepath.Join(name...)) }

// seal writes the archive of the databases in folder.
func seal(ctx context.Context, w io.Writer, folder string, m Manifest, recipients []age.Recipient) error {
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
	head := func(name string, size int64) error {
		return archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: m.Created, Format: tar.FormatPAX})
	}
	if err := head(manifestName, int64(len(text))); err != nil {
		return err
	}
	if _, err := archive.Write(text); err != nil {
		return err
	}
	for _, name := range m.files() {
		if err := sealOne(ctx, archive, filepath.Join(folder, name), name, head); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), sealed.Close())
}

func sealOne(ctx context.Context, w io.Writer, path, name string, head func(string, int64) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := head(name, info.Size()); err != nil {
		return err
	}
	_, err = io.Copy(w, reader{ctx, f})
	return err
}

// unseal unpacks the archive into a folder. A file that was cut off or altered gives an error.
func unseal(ctx context.Context, r io.Reader, into string, identities []age.Identity) (m Manifest, err error) {
	opened, err := age.Decrypt(reader{ctx, r}, identities...)
	if err != nil {
		return m, err
	}
	archive := tar.NewReader(opened)
	err = m.load(into, func(name string) (io.ReadCloser, error) {
		h, err := archive.Next()
		if err == nil && (h.Name != name || h.Typeflag != tar.TypeReg || sparse(h)) {
			err = ErrNotBackup
		}
		return io.NopCloser(archive), err
	})
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(opened, maxManifest)) // read to the end, which age authenticates
	}
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, ErrNotBackup), errors.Is(err, ErrNewer), errors.Is(err, errTooLarge):
		return m, err
	case errors.As(err, new(*os.PathError)): // an error of the folder: no space left
		return m, err
	}
	return m, fmt.Errorf("%w (%w)", ErrCutOff, err)
}

// sparse reports whether a member has holes: it would take space here that the archive does not
// have.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

var errTooLarge = fmt.Errorf("%w: a database in it is larger than %d bytes", ErrNotBackup, state.MaxImage)

// load reads the manifest, and unpacks the images that it names into a folder. Their files are
// numbered, because the names in the manifest are not trusted.
func (m *Manifest) load(into string, part func(name string) (io.ReadCloser, error)) error {
	r, err := part(manifestName)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if err := m.parse(text); err != nil {
		return err
	}
	for i, d := range m.Databases {
		r, err := part(d.Name)
		if err != nil {
			return err
		}
		if err := errors.Join(spool(r, numbered(into, i)), r.Close()); err != nil {
			return err
		}
	}
	if m.FactorKey == "" {
		return nil
	}
	if r, err = part(m.FactorKey); err != nil {
		return err
	}
	return errors.Join(spool(io.LimitReader(r, factor.KeySize+1), filepath.Join(into, keyName)), r.Close())
}

// parse reads the manifest. Each database is in it once, and the state is one of them.
func (m *Manifest) parse(text []byte) error {
	if err := json.Unmarshal(text, m); err != nil || m.Version < 1 || len(text) > maxManifest || len(m.Databases) > maxDatabases {
		return ErrNotBackup
	}
	if m.Version > version {
		return ErrNewer
	}
	if m.FactorKey != "" && m.FactorKey != keyName {
		return ErrNotBackup
	}
	seen := map[string]bool{}
	for _, d := range m.Databases {
		if seen[d.Application] || d.Name == "" || d.Name != filepath.Base(d.Name) {
			return ErrNotBackup
		}
		seen[d.Application] = true
	}
	if !seen[""] {
		return ErrNotBackup
	}
	return nil
}

// files are the names of what follows the manifest.
func (m Manifest) files() (names []string) {
	for _, d := range m.Databases {
		names = append(names, d.Name)
	}
	if m.FactorKey != "" {
		names = append(names, m.FactorKey)
	}
	return names
}

func numbered(folder string, i int) string { return filepath.Join(folder, fmt.Sprintf("%d.image", i)) }

// spool copies r to a new file.
func spool(r io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, state.MaxImage+1))
	if err == nil && n > state.MaxImage {
		err = errTooLarge
	}
	return errors.Join(err, f.Close())
}

// reader fails when the context has ended.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(into []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(into)
}
