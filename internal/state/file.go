package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// prepareFolder creates the folder, and the one it stands in, or makes sure that
// existing ones are nobody else's to write.
func prepareFolder(dir string) error {
	home := filepath.Dir(dir)
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return cannotCreate(err)
	}
	return errors.Join(ownFolder(home), ownFolder(dir))
}

func ownFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return cannotCreate(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("cannot open the state folder %s: %w: %w", dir, shadowsync.ErrUnavailable, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("cannot use the state folder %s: not a directory", dir)
	case !ours(st):
		return fmt.Errorf("cannot use the state folder %s: it belongs to uid %d", dir, st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("cannot use the state folder %s: mode %04o lets others write", dir, st.Mode&0o7777)
	}
	return nil
}

func cannotCreate(err error) error {
	return fmt.Errorf("cannot create the state folder: %w: %w", shadowsync.ErrUnavailable, err)
}

// prepareFile creates the database file, or makes sure that an existing one is a
// regular file of ours that nobody else reads.
//
// mknod(2) creates exclusively, follows no link and, unlike open(2), leaves no
// descriptor: closing any descriptor of the database would drop the POSIX locks
// that SQLite holds on it elsewhere in this process.
func prepareFile(path string) error {
	err := unix.Mknod(path, unix.S_IFREG|0o600, 0)
	if err == nil {
		return syncFolder(filepath.Dir(path))
	}
	var st unix.Stat_t
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EROFS) {
		err = unix.Lstat(path, &st)
	}
	switch {
	case err != nil:
		return fmt.Errorf("cannot create state %s: %w: %w", path, shadowsync.ErrUnavailable, err)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("cannot open state %s: %w: not a regular file", path, shadowsync.ErrMalformed)
	case !ours(st):
		return fmt.Errorf("cannot open state %s: it belongs to uid %d", path, st.Uid)
	case st.Mode&0o077 == 0:
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("cannot close state %s to others: %w: %w", path, shadowsync.ErrUnavailable, err)
	}
	return nil
}

func ours(st unix.Stat_t) bool { return st.Uid == 0 || int(st.Uid) == os.Geteuid() }

// syncFolder makes a new name durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot sync the state folder %s: %w: %w", dir, shadowsync.ErrUnavailable, err)
	}
	return nil
}
