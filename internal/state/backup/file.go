package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/durable"
	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/state"
)

// manifestName is the name of the manifest, in the archive and in a folder.
const manifestName = "manifest.json"

// ErrExists is the error for a file that a backup would replace.
var ErrExists = errors.New("the file exists")

// target is where a backup is written: a name in an open folder, so that root cannot be led to
// another folder meanwhile.
type target struct {
	folder *os.File
	name   string
	force  bool
}

func openTarget(path string, force bool) (*target, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	folder, err := rootonly.Anybodys("/", filepath.Dir(full))
	if err != nil {
		return nil, err
	}
	t := &target{folder, filepath.Base(full), force}
	var st unix.Stat_t
	err = unix.Fstatat(t.fd(), t.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		err = nil
	case err == nil && !force:
		err = ErrExists
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = &rootonly.Error{Path: path, Why: "is not a regular file"}
	}
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return t, nil
}

func (t *target) fd() int { return int(t.folder.Fd()) }

// CheckTarget returns why a backup cannot be written there, before the passphrase is asked for.
func CheckTarget(path string, force bool) error {
	t, err := openTarget(path, force)
	if err != nil {
		return fmt.Errorf("cannot write the backup %s: %w", path, err)
	}
	return t.folder.Close()
}

// Write seals the databases in folder into the file at path, which only root can read: all of them,
// or nothing. Only with force it replaces a file.
func Write(ctx context.Context, path string, force bool, folder string, m Manifest, recipients ...age.Recipient) error {
	t, err := openTarget(path, force)
	if err == nil {
		err = errors.Join(t.write(ctx, folder, m, recipients), t.folder.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot write the backup %s: %w", path, err)
	}
	return nil
}

func (t *target) write(ctx context.Context, folder string, m Manifest, recipients []age.Recipient) (err error) {
	f, err := durable.Create(t.fd(), ".shadowsync-backup-"+rand.Text())
	if err != nil {
		return err
	}
	// f stays open until the end, so that its inode number is not reused for another file before
	// isOurs.
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			_ = f.Discard() // it may have its name already
		}
	}()
	if err := errors.Join(f.Chmod(0o600), seal(ctx, f, folder, m, recipients)); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), ctx.Err()); err != nil {
		return err
	}
	if err := t.place(f); err != nil {
		return err
	}
	return errors.Join(t.isOurs(f.File), durable.SyncFolder(t.fd()))
}

func (t *target) place(f *durable.New) error {
	if t.force {
		return f.Place(t.name, 0)
	}
	err := f.Place(t.name, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		if errors.Is(err, unix.EEXIST) {
			return ErrExists
		}
		return err
	}
	// The file system (vfat, NFS) does not support that flag: check the name once more instead.
	var st unix.Stat_t
	if err := unix.Fstatat(t.fd(), t.name, &st, unix.AT_SYMLINK_NOFOLLOW); !errors.Is(err, unix.ENOENT) {
		return errors.Join(ErrExists, err)
	}
	return f.Place(t.name, 0)
}

// isOurs checks that the name belongs to the file that was written: in a folder that another user
// can write, the temporary file can be exchanged.
func (t *target) isOurs(f *os.File) error {
	var here, there unix.Stat_t
	err := errors.Join(unix.Fstat(int(f.Fd()), &here), unix.Fstatat(t.fd(), t.name, &there, unix.AT_SYMLINK_NOFOLLOW))
	if err == nil && (here.Dev != there.Dev || here.Ino != there.Ino) {
		err = errors.New("somebody put another file in its place")
	}
	return err
}

// Source is an open backup.
type Source struct {
	Path   string
	Folder bool // with what a restore replaced, which is not sealed
	file   *os.File
}

// Open opens a backup: a file, or the folder with what an earlier restore replaced. It never
// blocks, and refuses what another user can write.
func Open(path string) (*Source, error) {
	s, err := openSource(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the backup %s: %w", path, err)
	}
	return s, nil
}

func openSource(path string) (*Source, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(full, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		folder, err := rootonly.Folder("/", full)
		return &Source{path, true, folder}, err
	}
	folder, err := rootonly.Anybodys("/", filepath.Dir(full))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	f, err := openRegular(folder, filepath.Base(full), path)
	return &Source{path, false, f}, err
}

// openRegular opens a regular file that only root can write. O_NONBLOCK: otherwise a FIFO would
// make it wait for a writer.
func openRegular(folder *os.File, name, path string) (*os.File, error) {
	fd, err := unix.Openat(int(folder.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, &rootonly.Error{Path: path, Why: "is a symbolic link"}
	case errors.Is(err, unix.ENXIO): // a socket
		return nil, &rootonly.Error{Path: path, Why: "is not a regular file"}
	case err != nil:
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	if err := rootonly.Regular(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Close closes the source.
func (s *Source) Close() error { return s.file.Close() }

// ForRecipient reports whether the file is sealed for a key, not with a passphrase.
func (s *Source) ForRecipient() (bool, error) {
	head, err := s.head()
	return strings.HasPrefix(head, ageHeader) && !strings.HasPrefix(head, ageHeader+"-> scrypt "), err
}

// Sealed reports whether the file begins as an age file does.
func (s *Source) Sealed() bool {
	head, err := s.head()
	return err == nil && strings.HasPrefix(head, ageHeader)
}

// ageHeader is the first line; the first recipient follows it.
const ageHeader = "age-encryption.org/v1\n"

func (s *Source) head() (string, error) {
	head := make([]byte, 64)
	n, err := s.file.ReadAt(head, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(head[:n]), err
}

// Unpack copies the manifest's databases into a folder that only root can access.
func (s *Source) Unpack(ctx context.Context, into string, identities ...age.Identity) (m Manifest, err error) {
	if s.Folder {
		err = m.load(into, func(name string) (io.ReadCloser, error) { return s.part(ctx, name) })
	} else {
		var info fs.FileInfo
		if info, err = s.file.Stat(); err == nil && info.Size() > maxDatabases*int64(state.MaxImage) {
			err = errTooLarge
		}
		if err == nil {
			m, err = unseal(ctx, s.file, into, identities)
		}
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("cannot read the backup %s: %w", s.Path, err)
	}
	return m, nil
}

func (s *Source) part(ctx context.Context, name string) (io.ReadCloser, error) {
	f, err := openRegular(s.file, name, filepath.Join(s.Path, name))
	if errors.Is(err, fs.ErrNotExist) && name == manifestName {
		return nil, ErrNotBackup
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > state.MaxImage {
		err = errTooLarge
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{reader{ctx, f}, f}, nil
}
