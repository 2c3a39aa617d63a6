package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Prepare creates the state's folder below root, and its parent, or checks that only root or the
// caller can write to existing ones.
func Prepare(root, dir string) error {
	folder, err := openFolder(root, dir)
	if err != nil {
		return err
	}
	return folder.Close()
}

// openFolder opens the folder dir of the system below root. It creates the folder and its parent,
// or checks that only root or the caller can write to existing ones.
func openFolder(root, dir string) (*inroot.Folder, error) {
	home := filepath.Dir(dir)
	if err := inroot.MkdirAll(root, filepath.Dir(home), 0o755); err != nil {
		return nil, cannotCreate(err)
	}
	if err := errors.Join(ownFolder(root, home), ownFolder(root, dir)); err != nil {
		return nil, err
	}
	folder, err := inroot.OpenFolder(root, dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the state folder %s: %w: %w", dir, shadowsync.ErrUnavailable, err)
	}
	// In a mounted system it may be another folder by now.
	if err := checkFolder(folder.Path("."), folder.Shown("")); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return folder, nil
}

func ownFolder(root, dir string) error {
	if err := inroot.Mkdir(root, dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return cannotCreate(err)
	}
	return looksOurs(root, dir)
}

func looksOurs(root, dir string) error {
	info, err := inroot.Lstat(root, dir)
	if err != nil {
		return fmt.Errorf("cannot open the state folder %s: %w: %w", dir, shadowsync.ErrUnavailable, err)
	}
	return usable(info, inroot.Shown(root, dir))
}

// bothOurs checks the folder dir of the running system, and its parent, and creates nothing.
func bothOurs(dir string) error {
	return errors.Join(looksOurs("/", filepath.Dir(dir)), looksOurs("/", dir))
}

func checkFolder(path, shown string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("cannot open the state folder %s: %w: %w", shown, shadowsync.ErrUnavailable, err)
	}
	return usable(info, shown)
}

func usable(info fs.FileInfo, dir string) error {
	st := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("cannot use the state folder %s: not a directory", dir)
	case !ours(st.Uid):
		return fmt.Errorf("cannot use the state folder %s: it belongs to uid %d", dir, st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("cannot use the state folder %s: mode %04o lets others write", dir, st.Mode&0o7777)
	}
	return nil
}

func cannotCreate(err error) error {
	return fmt.Errorf("cannot create the state folder: %w: %w", shadowsync.ErrUnavailable, err)
}

// prepareFile creates the database file, or checks that an existing one is a regular file that
// only root or the caller can read.
//
// mknod(2) creates exclusively, follows no link and, unlike open(2), leaves no
// descriptor: closing any descriptor of the database would drop the POSIX locks
// that SQLite holds on it elsewhere in this process.
func prepareFile(folder *inroot.Folder, name string) error {
	path, shown := folder.Path(name), folder.Shown(name)
	err := unix.Mknod(path, unix.S_IFREG|0o600, 0)
	if err == nil {
		return syncFolder(filepath.Dir(path), filepath.Dir(shown))
	}
	var st unix.Stat_t
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EROFS) {
		err = unix.Lstat(path, &st)
	}
	switch {
	case err != nil:
		return fmt.Errorf("cannot create state %s: %w: %w", shown, shadowsync.ErrUnavailable, err)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("cannot open state %s: %w: not a regular file", shown, shadowsync.ErrMalformed)
	case ours(st.Uid) && st.Mode&0o077 == 0:
		return nil
	}
	if err := own(path, st.Uid); err != nil {
		return fmt.Errorf("cannot close state %s to others: %w: %w", shown, shadowsync.ErrUnavailable, err)
	}
	return nil
}

// own takes back a file that has another owner, for example after an archive was unpacked. That is
// safe: no other user could reach the file, because the folder is ours alone.
func own(path string, uid uint32) error {
	if !ours(uid) {
		if err := os.Lchown(path, os.Geteuid(), os.Getegid()); err != nil {
			return err
		}
	}
	return chmod(path, 0o600)
}

// chmod follows no link. Closing an O_PATH descriptor drops no lock.
func chmod(path string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), mode), f.Close())
}

func ours(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// syncFolder makes a new name durable.
func syncFolder(dir, shown string) error {
	f, err := os.Open(dir)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot sync the state folder %s: %w: %w", shown, shadowsync.ErrUnavailable, err)
	}
	return nil
}
